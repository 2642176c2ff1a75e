import Foundation
import SwiftTorch
import Testing

/// Where results and progress go, and what happens when they cannot.
@Suite(.serialized, .timeLimit(.minutes(20))) struct OutputCommandTests {
  @Test(arguments: ["models --json", "doctor", "--help", "--version"])
  func aResultThatCannotBePrintedIsAFailure(line: String) throws {
    let scratch = try Scratch()
    for (redirection, reason) in [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")] {
      let outcome = try Command.shell(#""$SAT" \#(line) \#(redirection)"#, in: scratch.path)
      #expect(outcome.status == 1, "\(redirection): \(outcome.errors)")
      #expect(outcome.sentence.contains("standard output (\(reason))") && outcome.sentence.split(separator: "\n").count == 1, "\(outcome.errors)")
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
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["images.safetensors", "model.safetensors"])
    // With standard output closed no file that is written gets its number, and the result with it.
    let closed = try Command.shell(
      #""$SAT" evaluate \#(model) --data \#(data) --epsilon 0.1 --steps 1 --save adv.safetensors >&-"#, in: scratch.path)
    #expect(closed.status == 1, "\(closed.errors)")
    #expect(try SafeTensors.read(scratch.file("adv.safetensors"))["images"]?.shape == [4, 1, 28, 28])
  }

  @Test func progressThatCannotBeWrittenStopsNothing() throws {
    let scratch = try Scratch()
    let (model, data) = try scratch.untrained(count: 40)
    let lines: [(String, Int32)] = [
      ("models", 0), ("data list", 0), ("evaluate \(model) --data \(data) --epsilon 0.1 --steps 2", 0),
      ("evaluate nowhere --data \(data)", 1), ("evaluate \(model) --bogus", 64),
      ("hessian \(model) --data \(data) --first 4", 0), ("landscape \(model) --data \(data) --first 4 --examples clean --points 2", 0),
      ("train digits --data \(data) --model lenet5 --run run --epochs 1 --batch-size 16 --set attack.steps=1", 0), ("report nowhere", 1),
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
      (["evaluate", "no-model", "--data", "digits"], ["--save", "--json-file", "--records", "--robustbench"]),
      (["hessian", "no-model", "--data", "digits"], ["--json-file"]),
      (["landscape", "no-model", "--data", "digits"], ["--save", "--csv", "--state", "--json-file"]),
      (["verify", "no-images", "--model-file", "no-model"], ["--json-file"]), (["report", "no-run"], ["--out", "--json-file"]),
      (["compare", "no-run", "no-run"], ["--json-file"]), (["reproduce", "table-2", "--out", "o"], ["--csv", "--json-file"]),
      (["train", "digits", "--data", "no-data", "--run", "run"], ["--json-file"]), (["data", "show", "no-data", "--out", "x.png"], ["--json-file"]),
    ]
    for (arguments, options) in commands {
      for (place, reason) in places {
        for option in options where arguments[0] == "evaluate" || place == "folder" {
          let outcome = try Command.run(arguments + [option, place], in: scratch.path)
          #expect(outcome.status == 1 && outcome.sentence.contains(place) && outcome.sentence.contains(reason), "\(arguments) \(option): \(outcome.errors)")
        }
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["folder"])
    // A file may lie in the folder that the command makes.
    let data = try scratch.images("train.safetensors", count: 44)
    let outcome = try Command.run(
      [
        "train", "digits", "--data", data, "--model", "lenet5", "--run", "run", "--epochs", "1", "--set", "attack.steps=1", "--json-file",
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
    for line in ["--help", "help"] { #expect(try Command.shell(#""$SAT" \#(line)"#, in: scratch.path).output.contains("--version   ")) }
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
      (["evaluate", "m", "--restarts", "1000000000"], "--restarts is 1000000000; expected 1 to 1000"),
      (["evaluate", "m", "--threads", "20000"], "--threads is 20000; expected 1 to 1024"),
      (["train", "digits", "--threads", "99999999999"], "--threads is 99999999999; expected 1 to 1024"),
      (["evaluate", "m", "--batch-size", "9223372036854775807"], "expected 1 to 1000000"),
      (["evaluate", "m", "--steps", "9223372036854775807"], "expected 1 to 1000000"),
      (["evaluate", "m", "--targets=-1"], "expected 0 to 100000"), (["evaluate", "m", "--step-size", "1e300"], "at most 1000000"),
      (["evaluate", "m", "--first=-9223372036854775808"], "expected 1 to 1000000000"), (["hessian", "m", "--top", "1000000000"], "expected 1 to 1000"),
      (["hessian", "m", "--density-steps", "9999999999"], "expected 1 to 10000"), (["hessian", "m", "--density-width", "inf"], "more than 0"),
      (["hessian", "m", "--tolerance", "nan"], "0 < tolerance < 1"), (["hessian", "m", "--iterations", "0"], "expected 1 to 1000000"),
      (["landscape", "m", "--points", "1000000"], "expected 2 to 1001"), (["landscape", "m", "--radius", "1e300"], "at most 1000000"),
      (["landscape", "m", "--workers", "100000"], "expected 1 to 1024"), (["compare", "a", "b", "--tolerance", "inf"], "expected 0 to 1000000"),
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
    #expect(well.output.contains("of the compiler that built sat"))
    let ill = try Command.run(["doctor"], environment: ["PATH": scratch.path, "SAT_PLOTLY": scratch.file("none.js")])
    #expect(ill.status == 0)
    for words in ["`sat data fetch` cannot work: fetching needs the program curl", "`sat report` cannot work: SAT_PLOTLY names"] {
      #expect(ill.output.contains(words) && !well.output.contains(words), "\(ill.output)")
    }
  }

  @Test func filesThatAreNotTextAreNotQuoted() throws {
    let scratch = try Scratch()
    try Data((0..<200).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ 7) }).write(to: URL(fileURLWithPath: scratch.file("c.yaml")))
    let outcome = try Command.run(["train", "digits", "--config", scratch.file("c.yaml"), "--run", scratch.file("run")])
    #expect(outcome.status == 1 && outcome.sentence.contains("c.yaml is not a text file; expected a YAML configuration"), "\(outcome.errors)")
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
