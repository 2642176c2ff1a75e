"""Makes events.tfevents with TensorBoard's own writer: `pip install tensorboard`, then run this file.

This script is separate, because make_fixtures.py needs only PyTorch.
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

EVENTS = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000000.25, session_log=SessionLog(status=SessionLog.START)),
    Event(
        wall_time=1700000001.5,
        step=0,
        summary=Summary(value=[Summary.Value(tag="train/loss", simple_value=2.25), Summary.Value(tag="lambda", simple_value=0.0)]),
    ),
    Event(
        wall_time=1700000301.75,
        step=300,
        summary=Summary(
            value=[Summary.Value(tag="validation/robust", simple_value=0.1), Summary.Value(tag="psi", simple_value=-1e-3)]
        ),
    ),
]

if __name__ == "__main__":
    with (Path(__file__).parent / "events.tfevents").open("wb") as file:
        writer = RecordWriter(file)
        for event in EVENTS:
            writer.write(event.SerializeToString())
        writer.flush()
