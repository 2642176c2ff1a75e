/// The version of this library and of the `sat` command.
public enum SATVersion { public static let current = "0.1.0" }
