"""A web server that misbehaves on purpose, for the tests of the downloader.

    flaky_server.py FILE

The server sends the bytes of FILE on 127.0.0.1 at /BEHAVIOUR/ANY-NAME. It prints its port, then one line of JSON per request: path,
range and if_range (null if the request has none). It ends at the end of its standard input.

The behaviours:
good               sends the file
cut                closes the connection after a fifth of the file, serves ranges
cut-from-0         the same, but ignores ranges
cut-then-deaf      cuts the first request, ignores ranges in later ones
stuck              always closes the connection at the same byte
changed            cuts the first request and inverts its bytes, gives later requests another ETag
changed-untagged   the same without any validator
wrong-byte         sends one wrong byte
missing            answers 404
no-range           answers 416 to any range
other-range        answers 206 with a range that starts elsewhere
short, long        sends another size and announces it
overlong           sends more bytes and announces no size
busy               answers 503 twice, then sends the file
redirect           redirects to good
stall              stops sending
"""

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATA = Path(sys.argv[1]).read_bytes()
CUT = len(DATA) // 5
INVERTED = bytes(255 - byte for byte in DATA)
WRONG = DATA[:CUT] + bytes([DATA[CUT] ^ 1]) + DATA[CUT + 1 :]
requests = Counter()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        behaviour = self.path.split("/")[1]
        requests[behaviour] += 1
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        print(json.dumps({"path": self.path, "range": wanted, "if_range": condition}), flush=True)
        handler = getattr(self, behaviour.replace("-", "_"), None)
        if handler is None:
            self.send_error(404)
            return
        handler(requests[behaviour])
        self.close_connection = True

    def send(self, data=DATA, ranges=True, limit=None, tag='"first"', announce=True):
        """Answers with `data`, honouring Range and If-Range, but closes after `limit` bytes of body."""
        start = 0
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if ranges and wanted and condition in (None, tag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if tag:
            self.send_header("ETag", tag)
        if announce:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        self.wfile.write(body if limit is None else body[:limit])

    def good(self, _):
        self.send()

    def cut(self, _):
        self.send(limit=CUT)

    def cut_from_0(self, _):
        self.send(ranges=False, limit=CUT)

    def cut_then_deaf(self, count):
        self.send(ranges=False, limit=CUT if count == 1 else None)

    def stuck(self, _):
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send(limit=max(0, CUT - start))

    def changed(self, count):
        self.send(
            data=INVERTED if count == 1 else DATA, limit=CUT if count == 1 else None, tag='"first"' if count == 1 else '"second"'
        )

    def changed_untagged(self, count):
        self.send(data=INVERTED if count == 1 else DATA, limit=CUT if count == 1 else None, tag=None)

    def wrong_byte(self, _):
        self.send(data=WRONG)

    def missing(self, _):
        self.send_error(404)

    def no_range(self, count):
        if self.headers.get("Range"):
            self.send_error(416)
        else:
            self.send(limit=CUT if count == 1 else None)

    def other_range(self, count):
        if not self.headers.get("Range"):
            self.send(limit=CUT if count == 1 else None)
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 7-{len(DATA) - 1}/{len(DATA)}")
        self.send_header("Content-Length", str(len(DATA) - 7))
        self.end_headers()
        self.wfile.write(DATA[7:])

    def short(self, _):
        self.send(data=DATA[:-1])

    def long(self, _):
        self.send(data=DATA + b"!")

    def overlong(self, _):
        self.send(data=DATA + b"!" * 70000, announce=False)

    def busy(self, count):
        if count <= 2:
            self.send_error(503)
        else:
            self.send()

    def redirect(self, _):
        self.send_response(302)
        self.send_header("Location", "/good/" + self.path.split("/")[-1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def stall(self, _):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:CUT])
        self.wfile.flush()
        time.sleep(60)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
