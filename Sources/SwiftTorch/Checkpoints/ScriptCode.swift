/// The code of a TorchScript archive as text. It tells, before libtorch loads the archive, which operators the code could call.
///
/// Loading an archive compiles all of its code and runs its `__setstate__` functions, so every file counts, also one that no
/// function reaches. The scan decides by names alone. It therefore also refuses harmless code that gives its own function the name
/// of an operator that writes files. Source: `torch/csrc/jit/serialization/import_source.cpp`, which resolves the same names.
struct ScriptCode {
  /// The operators and classes that are not on the list of harmless ones, such as "torch.from_file"; sorted.
  private(set) var refused: Set<String> = []

  /// Scans the text of a code file.
  mutating func scan(_ text: [UInt8]) {
    var tokens = Tokens(text)
    var before: Token?
    while let token = tokens.next() {
      switch token {
      case .name("torch") where before != .dot: checkTorch(&tokens)
      case .name("ops") where before != .dot: checkOps(&tokens)
      case .name("__torch__") where before != .dot: checkClass(tokens.chain())
      case .name("getattr") where before != .dot: checkAttribute(&tokens)
      case .name(let name) where ScriptOperators.refused.contains(name): refused.insert(name)
      case .unknown(let byte): refused.insert("the character code \(byte)")
      default: break
      }
      before = token
    }
  }

  /// Scans a pickle for the classes of C++ that its objects would create. libtorch calls their constructors.
  mutating func scan(pickle: [UInt8]) {
    // GLOBAL and INST have the module and the name on two lines. Other bytes that look alike only refuse more.
    for start in pickle.indices where pickle[start] == UInt8(ascii: "c") || pickle[start] == UInt8(ascii: "i") {
      let lines = pickle[(start + 1)...].prefix(512).split(separator: 10, maxSplits: 2, omittingEmptySubsequences: false).prefix(2)
      guard lines.count == 2, lines[0].starts(with: "__torch__".utf8) else { continue }
      checkClass(lines.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".").split(separator: ".").map(String.init))
    }
  }

  /// Checks `torch.NAME`, which is the operator `aten::NAME`. The word alone could be given to another name.
  private mutating func checkTorch(_ tokens: inout Tokens) {
    let names = tokens.chain()
    // PyTorch writes two operators with a longer name.
    if names == ["autograd", "grad"] || names == ["autograd", "backward"] { return }
    guard names.count == 1, ScriptOperators.allowed.contains("aten::\(names[0])") else {
      refused.insert((["torch"] + names).joined(separator: "."))
      return
    }
  }

  /// Checks `ops.NAMESPACE.NAME`.
  private mutating func checkOps(_ tokens: inout Tokens) {
    let names = tokens.chain()
    guard names.count == 2, ScriptOperators.allowed.contains("\(names[0])::\(names[1])") else {
      refused.insert((["ops"] + names).joined(separator: "."))
      return
    }
  }

  /// Checks the rest of a name that begins with `__torch__`: the archive's own classes and functions, or a class of C++.
  private mutating func checkClass(_ names: [String]) {
    let names = names.first == "__torch__" ? Array(names.dropFirst()) : names
    if names.starts(with: ["torch", "classes"]), names.dropFirst(2).first != "quantized" {
      refused.insert("__torch__." + names.joined(separator: "."))
    }
    for name in names where ScriptOperators.refused.contains(name) { refused.insert(name) }
  }

  /// Checks `getattr(object, "name")`, which can name any operator as text, also in several pieces or with escapes.
  private mutating func checkAttribute(_ tokens: inout Tokens) {
    var depth = 0
    var last: Token?
    while let token = tokens.next() {
      switch token {
      case .open: depth += 1
      case .close: depth -= 1
      case .text(let name):
        if ScriptOperators.refused.contains(name) { refused.insert(name) }
        if case .text? = last { refused.insert("a name in pieces") }
      case .escapedText: refused.insert("a name with escapes")
      case .name("torch") where last != .dot, .name("ops") where last != .dot: refused.insert("torch or ops as a value")
      case .name(let name) where ScriptOperators.refused.contains(name): refused.insert(name)
      case .unknown(let byte): refused.insert("the character code \(byte)")
      default: break
      }
      if depth == 0 { return }
      last = token
    }
  }
}

extension ScriptCode {
  fileprivate enum Token: Equatable {
    case name(String)
    case text(String)
    /// Text with a backslash, which may mean any other text.
    case escapedText
    case dot, open, close, other
    /// A byte that PyTorch's printer never writes outside text and comments.
    case unknown(UInt8)
  }

  /// The tokens of TorchScript's code, without comments and white space.
  fileprivate struct Tokens {
    private let text: [UInt8]
    private var at = 0

    init(_ text: [UInt8]) { self.text = text }

    /// Takes the names that follow, each after a dot.
    mutating func chain() -> [String] {
      var names: [String] = []
      while true {
        let start = at
        guard next() == .dot, case .name(let name)? = next() else {
          at = start
          return names
        }
        names.append(name)
      }
    }

    mutating func next() -> Token? {
      skipBlanks()
      guard at < text.count else { return nil }
      let byte = text[at]
      if Self.isName(byte) { return name() }
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return string(byte) }
      at += 1
      switch byte {
      case UInt8(ascii: "."): return .dot
      case UInt8(ascii: "("): return .open
      case UInt8(ascii: ")"): return .close
      case let byte where "[]{}:=+-*/%<>!&|^~@;,".utf8.contains(byte): return .other
      default: return .unknown(byte)
      }
    }

    private mutating func skipBlanks() {
      while at < text.count {
        if text[at] == UInt8(ascii: "#") {
          while at < text.count, text[at] != 10 { at += 1 }
        } else if [9, 10, 13, 32].contains(text[at]) {
          at += 1
        } else {
          return
        }
      }
    }

    private mutating func name() -> Token {
      let start = at
      while at < text.count, Self.isName(text[at]) { at += 1 }
      return .name(String(decoding: text[start..<at], as: UTF8.self))
    }

    /// Letters, digits and the bytes of other scripts; a number is a name that no operator has.
    private static func isName(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte >= 128
    }

    /// Takes a string in single or triple quotes.
    private mutating func string(_ quote: UInt8) -> Token {
      let triple = [quote, quote, quote]
      let end = text[at...].starts(with: triple) ? triple : [quote]
      at += end.count
      let start = at
      while at < text.count, !text[at...].starts(with: end) {
        if text[at] == 10, end.count == 1 { return .unknown(10) }
        at += text[at] == UInt8(ascii: "\\") ? 2 : 1
      }
      guard at < text.count else { return .unknown(quote) }
      let content = text[start..<at]
      at += end.count
      return content.contains(UInt8(ascii: "\\")) ? .escapedText : .text(String(decoding: content, as: UTF8.self))
    }
  }
}
