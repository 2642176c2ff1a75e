/// Text as a shell takes it for one word, in quotes only where it needs them.
func shellWord(_ text: String) -> String {
  let isPlain = text.allSatisfy { $0.isASCII && ($0.isLetter || "0123456789_-./+=:,@%".contains($0)) } && !text.isEmpty
  return isPlain ? text : "'" + text.replacing("'", with: "'\\''") + "'"
}
