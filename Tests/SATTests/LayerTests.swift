import Foundation
import Testing

/// The rooms of `Sources/SAT`, from the bottom up. Each uses only those before it (CONTRIBUTING.md has the same list).
private let rooms = [
  "Support", "Data", "Models", "Perturbations", "Attacks", "Hessian", "Curriculum", "Defenses", "Evaluation", "Landscape",
  "Training", "Reports",
  "Reproduction",
]

@Suite struct RoomTests {
  @Test func everyRoomUsesOnlyThoseBelowIt() throws {
    let uses = try SourceTree(Repository.swiftFiles(under: "Sources/SAT")).usesThatRunBack(order: rooms)
    #expect(uses.isEmpty, "\(uses.joined(separator: "\n"))")
  }

  @Test func aPlantedUseIsFound() throws {
    let tree = try SourceTree([
      "Data/Images.swift": "struct Images { var report: Report? }",
      "Reports/Report.swift": "public struct Report {}\nextension Images { enum Kind {} }",
      "Models/Network.swift": "/// Shown by `Report`.\nfinal class Network { let text = \"Report\" }",
      "Attacks/Attack.swift": "func attack() -> String { \"drawn by \\(Report())\" }\nlet kind: Images.Kind",
      "Support/Text.swift": "func twice(_ name: String) -> String { drawn(name) + table(name) }",
      "Training/Loop.swift": "public func drawn(_ name: String) -> String { name }",
      "Support/Table.swift": "func table(_ name: String) -> String { name }",
    ])
    #expect(
      tree.usesThatRunBack(order: rooms) == [
        "Attacks/Attack.swift uses Images.Kind of Reports", "Attacks/Attack.swift uses Report of Reports",
        "Data/Images.swift uses Report of Reports", "Support/Text.swift uses drawn of Training",
      ])
  }

  @Test func everyFolderIsARoom() throws {
    for file in try Repository.swiftFiles(under: "Sources/SAT").keys {
      let room = String(file.prefix { $0 != "/" })
      #expect(rooms.contains(room), "\(file) is in no room of the list")
    }
  }

  @Test func contributingListsTheRoomsInOrder() throws {
    let text = try String(contentsOf: Repository.root.appending(path: "CONTRIBUTING.md"), encoding: .utf8)
    let listed = text.matches(of: /\| `Sources\/SAT\/(\w+)` \|/).map { String($0.1) }
    #expect(listed == rooms)
  }

  /// The ABI and pointers stay behind `Interop`.
  @Test(arguments: ["Sources/SwiftTorch", "Sources/FileCodecs", "Sources/SAT", "Sources/sat"])
  func onlyInteropTouchesTheABIAndPointers(_ folder: String) throws {
    for (file, text) in try Repository.swiftFiles(under: folder) where !file.hasPrefix("Interop/") {
      let names = SwiftWords(text).words.filter {
        $0 == "CTorchShim" || $0 == "OpaquePointer" || ($0.hasPrefix("Unsafe") && $0.hasSuffix("Pointer"))
      }
      #expect(names.isEmpty, "\(folder)/\(file) uses \(names.joined(separator: ", "))")
    }
  }
}

private enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The text of each Swift file below a folder, by its path from there.
  static func swiftFiles(under folder: String) throws -> [String: String] {
    let base = root.appending(path: folder).path(percentEncoded: false)
    let paths = try #require(FileManager.default.enumerator(atPath: base)).compactMap { $0 as? String }.filter {
      $0.hasSuffix(".swift")
    }
    try #require(!paths.isEmpty, "no Swift files under \(folder)")
    return try Dictionary(uniqueKeysWithValues: paths.map { ($0, try String(contentsOfFile: "\(base)/\($0)", encoding: .utf8)) })
  }
}

/// Swift files by room: which types each declares, and which words it uses.
private struct SourceTree {
  private let files: [(path: String, room: String, words: SwiftWords)]
  /// The room of each type; of `Outer.Inner` where a room adds `Inner` to another room's `Outer`.
  private var room: [String: String] = [:]
  /// The rooms of each free function. A member says nothing without its type, so members do not count.
  private var functionRooms: [String: Set<String>] = [:]

  init(_ sources: [String: String]) throws {
    files = sources.map { (path: $0.key, room: String($0.key.prefix { $0 != "/" }), words: SwiftWords($0.value)) }
    for file in files {
      for type in file.words.declaredTypes {
        if let other = room[type] { try #require(other == file.room, "\(type) is declared in \(other) and in \(file.room)") }
        room[type] = file.room
      }
      for name in file.words.declaredFunctions { functionRooms[name, default: []].insert(file.room) }
    }
  }

  func usesThatRunBack(order: [String]) -> [String] {
    func floor(_ room: String) -> Int { order.firstIndex(of: room) ?? order.count }
    return files.flatMap { file in
      let types = file.words.used.filter { name in room[name].map { floor($0) > floor(file.room) } ?? false }
      // A function of this name may exist in several rooms; the lowest one is meant if the file may use it.
      let functions = file.words.used.compactMap { name in
        functionRooms[name]?.min { floor($0) < floor($1) }.flatMap { floor($0) > floor(file.room) ? (name, $0) : nil }
      }
      return types.map { "\(file.path) uses \($0) of \(room[$0]!)" } + functions.map { "\(file.path) uses \($0.0) of \($0.1)" }
    }.sorted()
  }
}

/// The words of a Swift source outside comments and string literals; code in interpolations counts.
private struct SwiftWords {
  private(set) var words: [String] = []
  /// Types declared at the top level, or inside an extension as `Extended.Type`.
  private(set) var declaredTypes: Set<String> = []
  /// Free functions that are not private to the file.
  private(set) var declaredFunctions: Set<String> = []
  /// Words, and pairs of words with a dot between them.
  private(set) var used: Set<String> = []

  init(_ text: String) {
    var (depth, extended, last, joined) = (0, "", "", false)
    var (nested, named, isVisible): (Set<String>, Set<String>, Bool) = ([], [], true)
    for token in Self.tokens(Self.code(Array(text.utf8))) {
      switch token {
      case "{": depth += 1
      case "}":
        depth -= 1
        if depth == 0 { extended = "" }
      case ".":
        joined = true
        continue
      default:
        words.append(token)
        if ["struct", "class", "enum", "protocol", "actor", "typealias"].contains(last), token.first!.isUppercase {
          if depth == 0 { declaredTypes.insert(token) } else { nested.insert(token) }
          if depth == 1, !extended.isEmpty { declaredTypes.insert("\(extended).\(token)") }
        }
        if last == "func", depth == 0, isVisible { declaredFunctions.insert(token) }
        if ["func", "var", "let", "case"].contains(last) { named.insert(token) }
        if ["private", "fileprivate"].contains(token) { isVisible = false }
        if last == "extension", depth == 0 { extended = token }
        used.insert(token)
        if joined { used.insert("\(last).\(token)") }
      }
      if ["func", "var", "let", "{", "}"].contains(last) { isVisible = true }
      joined = false
      last = token
    }
    // A type that a file declares inside another type is its own, whatever else has its name. So is a name that the file declares.
    used.subtract(nested)
    used.subtract(named.subtracting(declaredFunctions))
  }

  /// Words, braces and dots; everything else separates.
  private static func tokens(_ code: [UInt8]) -> [String] {
    var tokens: [String] = []
    var word: [UInt8] = []
    func isWordByte(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte >= 128
    }
    for byte in code + [10] {
      if isWordByte(byte) {
        word.append(byte)
        continue
      }
      if !word.isEmpty { tokens.append(String(decoding: word, as: UTF8.self)) }
      word = []
      if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: ".") {
        tokens.append(String(UnicodeScalar(byte)))
      }
    }
    return tokens
  }

  /// The text without comments and without the literal parts of strings.
  private static func code(_ text: [UInt8]) -> [UInt8] {
    var code: [UInt8] = []
    var at = 0
    /// For each open string: its closing delimiter; inside an interpolation, how many parentheses are open.
    var strings: [(delimiter: [UInt8], parentheses: Int?)] = []
    func takes(_ prefix: String) -> Bool { text[at...].starts(with: prefix.utf8) }
    while at < text.count {
      if let open = strings.last, open.parentheses == nil {
        if takes("\\(") {
          strings[strings.count - 1].parentheses = 1
          code.append(32)
          at += 2
        } else if takes("\\") {
          at += 2
        } else if text[at...].starts(with: open.delimiter) {
          at += open.delimiter.count
          strings.removeLast()
          code.append(32)
        } else {
          at += 1
        }
      } else if takes("//") {
        while at < text.count, text[at] != 10 { at += 1 }
      } else if takes("/*") {
        while at < text.count, !takes("*/") { at += 1 }
        at += 2
      } else if let delimiter = ["\"\"\"", "\""].first(where: takes) {
        strings.append((Array(delimiter.utf8), nil))
        at += delimiter.utf8.count
      } else {
        if let count = strings.last?.parentheses, text[at] == UInt8(ascii: "(") || text[at] == UInt8(ascii: ")") {
          let left = count + (text[at] == UInt8(ascii: "(") ? 1 : -1)
          strings[strings.count - 1].parentheses = left == 0 ? nil : left
        }
        code.append(text[at])
        at += 1
      }
    }
    return code
  }
}
