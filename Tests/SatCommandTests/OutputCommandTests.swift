import Foundation
import SwiftTorch
import Testing

/// Tests of the streams for results and progress, and of streams that cannot be written.
@Suite(.serialized, .timeLimit(.minutes(20))) struct OutputCommandTests {
  @Test(arguments: ["models --json", "doctor", "--help", "--version"])
  func aResultThatCannotBePrintedIsAFailure(line: String) throws {
    let scratch = try Scratch()
    for (redirection, reason) in [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")] {
      let outcome = try Command.shell(#""$SAT" \#(line) \#(redirection)"#, in: scratch.path)
      #expect(outcome.status == 1, "\(redirection): \(outcome.errors)")
      #expect(
        outcome.sentence.contains("standard output (\(reason))") && outcome.sentence.split(separator: "\n").count == 1,
        "\(outcome.errors)")
    }
    // Nobody reads: the end of every Unix tool, by SIGPIPE and without a word.
    let closed = try Command.shell(#"{ sleep 0.3; "$SAT" \#(line); echo $? >status; } | true; cat status"#, in: scratch.path)
    #expect(closed.output == "141\n" && closed.errors.isEmpty, "\(closed)")
  }

  @Test func nothingIsWrittenBesideAResultThatCannotBePrinted() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 4)
    let outcome = try Command.shell(
      #""$SAT" evaluate \#(model) --data \#(data) --attack clean --json-file e.json >/dev/full"#, in: scratch.path)
    #expect(outcome.status == 1 && outcome.sentence.contains("standard output"), "\(outcome.errors)")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["images.safetensors", "model.safetensors"])
    // With standard output closed no file that is written gets its number, and the result with it.
    let closed = try Command.shell(
      #""$SAT" evaluate \#(model) --data \#(data) --epsilon 0.1 --steps 1 --save adv.safetensors >&-"#, in: scratch.path)
    #expect(closed.status == 1, "\(closed.errors)")
    #expect(try SafeTensors.read(scratch.file("adv.safetensors"))["images"]?.shape == [4, 1, 28, 28])
  }

  /// An output with the name of an input is refused before any work, and the input stays as it was.
  @Test func noInputIsReplacedByAResult() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 4)
    let before = try (Data(contentsOf: URL(fileURLWithPath: model)), Data(contentsOf: URL(fileURLWithPath: data)))
    let files = FileManager.default
    try files.createSymbolicLink(atPath: scratch.file("link"), withDestinationPath: "model.safetensors")
    try files.linkItem(atPath: data, toPath: scratch.file("hard"))
    try files.createDirectory(atPath: scratch.file("run/best"), withIntermediateDirectories: true)
    try files.linkItem(atPath: model, toPath: scratch.file("run/best/weights.safetensors"))
    try "lambda: {}\n".write(toFile: scratch.file("c.yaml"), atomically: true, encoding: .utf8)
    let attack = "evaluate \(model) --data \(data) --epsilon 0.1 --steps 1"
    #expect(try Command.shell(#""$SAT" \#(attack) --save adv --quiet"#, in: scratch.path).status == 0)
    let there = try files.contentsOfDirectory(atPath: scratch.path).sorted()
    let lines = [
      "\(attack) --save \(model)", "\(attack) --records ./model.safetensors", "\(attack) --json-file link", "\(attack) --save hard",
      "\(attack) --save run/../images.safetensors", "evaluate run --data hard --epsilon 0.1 --save run/best/weights.safetensors",
      "verify adv --model-file \(model) --json-file adv", "verify adv --model-file \(model) --data \(data) --json-file \(data)",
      "hessian \(model) --data \(data) --json-file \(data)", "landscape \(model) --data \(data) --csv link",
      "train digits --data \(data) --run new --json-file hard",
      "train digits --config c.yaml --data \(data) --run new --json-file c.yaml",
      "data show \(data) --out hard",
    ]
    for line in lines {
      let outcome = try Command.shell(#""$SAT" \#(line)"#, in: scratch.path)
      #expect(outcome.status == 1 && outcome.sentence.contains("is an input of this command"), "\(line): \(outcome)")
    }
    #expect(
      try Data(contentsOf: URL(fileURLWithPath: model)) == before.0 && Data(contentsOf: URL(fileURLWithPath: data)) == before.1)
    #expect(try files.contentsOfDirectory(atPath: scratch.path).sorted() == there)
    let state = try Command.shell(#""$SAT" \#(attack) --state s --save s/state.safetensors"#, in: scratch.path)
    #expect(
      state.status == 64 && state.sentence.contains("two outputs") && state.errors.contains("Usage: sat evaluate "),
      "\(state.errors)")
  }

  /// A limit on the size of files lets the small ones pass.
  @Test func whatCannotBeWrittenKeepsNothingElseBack() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 12)
    let outcome = try Command.shell(
      #"ulimit -f 16; "$SAT" evaluate \#(model) --data \#(data) --epsilon 0.1 --steps 1 --save adv --records r --json-file e "#
        + #"--json"#,
      in: scratch.path)
    #expect(outcome.status == 1 && outcome.sentence.contains("adv: the file grew past the size limit"), "\(outcome.errors)")
    #expect(outcome.json["format"] as? String == "sat-evaluation/1")
    #expect(try files(scratch) == ["e", "images.safetensors", "model.safetensors", "r"])
    let plot = try Command.shell(
      #"ulimit -f 1; "$SAT" landscape \#(model) --data \#(data) --examples clean --dimensions 1 --points 40 --csv c "#
        + #"--json-file e2 | head -c 200"#
        + "; exit ${PIPESTATUS[0]}", in: scratch.path)
    #expect(plot.status == 1 && plot.output.count == 200, "\(plot.errors)")
    for file in ["c", "e2"] { #expect(plot.sentence.contains("sat: \(file): the file grew past"), "\(plot.errors)") }
  }

  private func files(_ scratch: Scratch) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted()
  }

  @Test func progressThatCannotBeWrittenStopsNothing() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 40)
    let lines: [(String, Int32)] = [
      ("models", 0), ("data list", 0), ("evaluate \(model) --data \(data) --epsilon 0.1 --steps 2", 0),
      ("evaluate nowhere --data \(data)", 1), ("evaluate \(model) --bogus", 64),
      ("hessian \(model) --data \(data) --first 4", 0),
      ("landscape \(model) --data \(data) --first 4 --examples clean --points 2", 0),
      ("train digits --data \(data) --model lenet5 --run run --epochs 1 --batch-size 16 --set attack.steps=1", 0),
      ("report nowhere", 1),
    ]
    for (line, status) in lines {
      let full = try Command.shell(#""$SAT" \#(line) 2>/dev/full"#, in: scratch.path)
      #expect(full.status == status, "\(line): \(full)")
    }
    // Nor does a pipe that nobody reads.
    let training = "train digits --data \(data) --model lenet5 --run piped --epochs 1 --batch-size 16 --set attack.steps=1"
    let piped = try Command.shell(#"{ "$SAT" \#(training) 2>&3 >out; echo $? >status; } 3>&1 | true; cat status"#, in: scratch.path)
    #expect(piped.output == "0\n", "\(piped)")
  }

  /// The model does not exist, so an output's sentence shows that it was looked at before any work.
  @Test func outputsAreLookedAtBeforeTheWork() throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(atPath: scratch.file("folder"), withIntermediateDirectories: true)
    let places = [("nowhere/x", "its folder does not exist"), ("folder", "is a folder"), ("/proc/x", "/proc/x")]
    let commands: [([String], [String])] = [
      (
        ["evaluate", "no-model", "--data", "digits", "--attack", "autoattack"],
        ["--save", "--json-file", "--records", "--robustbench"]
      ),
      (["hessian", "no-model", "--data", "digits"], ["--json-file"]),
      (["landscape", "no-model", "--data", "digits"], ["--save", "--csv", "--json-file"]),
      (["verify", "no-images", "--model-file", "no-model"], ["--json-file"]), (["report", "no-run"], ["--out", "--json-file"]),
      (["compare", "no-run", "no-run"], ["--json-file"]), (["reproduce", "table-2", "--out", "o"], ["--csv", "--json-file"]),
      (["train", "digits", "--data", "no-data", "--run", "run"], ["--json-file"]),
      (["data", "show", "no-data", "--out", "x.png"], ["--json-file"]),
    ]
    for (arguments, options) in commands {
      for (place, reason) in places {
        for option in options where arguments[0] == "evaluate" || place == "folder" {
          let outcome = try Command.run(arguments + [option, place], in: scratch.path)
          #expect(
            outcome.status == 1 && outcome.sentence.contains(place) && outcome.sentence.contains(reason),
            "\(arguments) \(option): \(outcome.errors)")
        }
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["folder"])
    // A file may lie in the folder that the command makes.
    let data = try scratch.images("train.safetensors", count: 44)
    let outcome = try Command.run(
      [
        "train", "digits", "--data", data, "--model", "lenet5", "--run", "run", "--epochs", "1", "--set", "attack.steps=1",
        "--json-file",
        "run/../run/summary.json",
      ], in: scratch.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(FileManager.default.fileExists(atPath: scratch.file("run/summary.json")))
  }

  @Test func theModelIsLookedForBeforeTheData() throws {
    let scratch = try Scratch()
    for command in ["evaluate", "hessian", "landscape"] {
      let outcome = try Command.run([command, "runs/typo"], in: scratch.path)
      #expect(outcome.status == 1 && outcome.sentence.contains("runs/typo does not exist"), "\(outcome.errors)")
    }
  }

  @Test func onlyTheProgramHasAVersion() throws {
    let scratch = try Scratch()
    for line in ["--help", "help"] {
      #expect(try Command.shell(#""$SAT" \#(line)"#, in: scratch.path).output.contains("--version   "))
    }
    for line in ["help data", "help data list", "help hessian", "data --help", "train --help"] {
      #expect(try !Command.shell(#""$SAT" \#(line)"#, in: scratch.path).output.contains("--version"), "\(line)")
    }
    let help = try Command.run(["help", "evaluate"]).output
    #expect(help.contains("--version <version>") && !help.contains("Show the version"))
    let (model, data) = try scratch.untrained(count: 2)
    let outcome = try Command.run(
      ["evaluate", model, "--data", data, "--attack", "apgd-ce", "--version", "standard", "--epsilon", "0.1", "--json"])
    #expect(outcome.status == 0 && outcome.json["version"] as? String == "standard", "\(outcome.errors)")
  }

  @Test func countsAreBounded() throws {
    let cases: [([String], String)] = [
      (["evaluate", "m", "--restarts", "1000000000"], "--restarts is 1000000000; pgd takes 1 to 1000"),
      (["evaluate", "m", "--threads", "20000"], "--threads is 20000; expected 1 to 1024"),
      (["train", "digits", "--threads", "99999999999"], "--threads is 99999999999; expected 1 to 1024"),
      (["evaluate", "m", "--batch-size", "9223372036854775807"], "expected 1 to 1000000"),
      (["evaluate", "m", "--steps", "9223372036854775807"], "expected 1 to 1000000"),
      (["evaluate", "m", "--targets=-1"], "pgd takes at least 0"), (["evaluate", "m", "--step-size", "1e300"], "at most 1000000"),
      (["evaluate", "m", "--first=-9223372036854775808"], "expected 1 to 1000000000"),
      (["hessian", "m", "--top", "1000000000"], "expected 1 to 1000"),
      (["hessian", "m", "--density-steps", "9999999999"], "expected 2 to 10000"),
      (["hessian", "m", "--density-width", "inf"], "more than 0"),
      (["hessian", "m", "--tolerance", "nan"], "0 < tolerance < 1"),
      (["hessian", "m", "--iterations", "0"], "expected 1 to 1000000"),
      (["landscape", "m", "--points", "1000000"], "expected 2 to 1001"),
      (["landscape", "m", "--radius", "1e300"], "at most 1000000"),
      (["landscape", "m", "--workers", "100000"], "expected 1 to 1024"),
      (["compare", "a", "b", "--tolerance", "inf"], "expected 0 to 1000000"),
      (["data", "show", "digits", "--out", "x", "--columns", "9223372036854775807"], "expected 1 to 1000"),
      (["verify", "a", "--model-file", "m", "--batch-size", "0"], "expected 1 to 1000000"),
    ]
    for (arguments, words) in cases {
      let outcome = try Command.run(arguments)
      #expect(outcome.status == 64 && outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
    }
  }

  @Test func theDoctorMissesWhatOtherCommandsNeed() throws {
    let scratch = try Scratch()
    let well = try Command.run(["doctor"])
    for row in ["compiler +Swift 6\\.", "instructions +[A-Z]", "device cpu +[^ ]"] {
      #expect(well.output.range(of: row, options: .regularExpression) != nil, "\(row): \(well.output)")
    }
    let ill = try Command.run(["doctor"], environment: ["PATH": scratch.path])
    #expect(ill.status == 0)
    let words = "`sat data fetch` cannot work: fetching needs the program curl"
    #expect(ill.output.contains(words) && !well.output.contains(words), "\(ill.output)")
  }

  @Test func filesThatAreNotTextAreNotQuoted() throws {
    let scratch = try Scratch()
    try Data((0..<200).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ 7) }).write(to: URL(fileURLWithPath: scratch.file("c.yaml")))
    let outcome = try Command.run(["train", "digits", "--config", scratch.file("c.yaml"), "--run", scratch.file("run")])
    #expect(
      outcome.status == 1 && outcome.sentence.contains("c.yaml is not a text file; expected a YAML configuration"),
      "\(outcome.errors)")
    #expect(outcome.errors.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F || $0 == 0x0A })
    #expect(try Command.run(["train", "--list", "--json"]).json["format"] as? String == "sat-train-list/1")
  }

  @Test func labelsAndSizesThatCannotBeAreSaid() throws {
    let scratch = try Scratch()
    let (model, _) = try scratch.untrained(count: 1)
    func write(_ name: String, _ images: Tensor, _ labels: [Int]) throws -> String {
      try SafeTensors(tensors: [("images", images), ("labels", Tensor(labels))]).write(to: scratch.file(name))
      return scratch.file(name)
    }
    let cases = [
      (try write("label.safetensors", .zeros(2, 1, 28, 28), [0, Int.max]), "largest label"),
      (try write("negative.safetensors", .zeros(2, 1, 28, 28), [0, Int.min]), "smallest label"),
      (try write("flat.safetensors", .zeros(2, 1, 0, 28), [0, 1]), "sizes of at least 1"),
      (try write("none.safetensors", .zeros(0, 1, 28, 28), []), "no images"),
    ]
    for (data, words) in cases {
      let outcome = try Command.run(["evaluate", model, "--data", data, "--epsilon", "0.1"])
      #expect(outcome.status == 1 && outcome.sentence.contains(words), "\(data): \(outcome.errors)")
    }
  }
}
