internal import Foundation

/// An epoch as a line of `metrics.jsonl` tells it: what is missing stays out, for the file may be of another version or program.
struct RecordedEpoch: Decodable, Equatable {
  struct Train: Decodable, Equatable {
    var loss: Double?
    var accuracy: Double?
  }

  struct Validation: Decodable, Equatable {
    var clean: Double?
    var robust: Double?
  }

  struct Perturbation: Decodable, Equatable {
    var mean: Double?
    var max: Double?
  }

  struct Quantiles: Decodable, Equatable {
    var p25: Double
    var p50: Double
    var p75: Double
  }

  /// Sharpness of the loss on a fixed subset, as `sat train --track-smoothness` measures it.
  struct Smoothness: Decodable, Equatable {
    var eigenvalue: Double?
    var trace: Double?
    /// Standard error of the trace.
    var traceError: Double?
    var gradientNorm: Double?
  }

  var epoch: Int
  var lambda: Double?
  var learningRate: Double?
  var train: Train?
  var validation: Validation?
  var perturbation: Perturbation?
  var active: [Double]?
  var psi: Quantiles?
  var gradientNorm: Double?
  var seconds: Double?
  var samplesPerSecond: Double?
  var smoothness: Smoothness?
  /// A method's own numbers, under `method.name`.
  var methodNumbers: [String: Double] = [:]

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case epoch, lambda, learningRate, train, validation, perturbation, active, psi, gradientNorm, seconds, samplesPerSecond, smoothness
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    epoch = try container.decode(Int.self, forKey: .epoch)
    guard Limit.epoch.contains(epoch) else {
      throw DecodingError.dataCorruptedError(forKey: .epoch, in: container, debugDescription: "expected \(Limit.epoch)")
    }
    lambda = try container.decodeIfPresent(Double.self, forKey: .lambda)
    learningRate = try container.decodeIfPresent(Double.self, forKey: .learningRate)
    train = try container.decodeIfPresent(Train.self, forKey: .train)
    validation = try container.decodeIfPresent(Validation.self, forKey: .validation)
    perturbation = try container.decodeIfPresent(Perturbation.self, forKey: .perturbation)
    active = try container.decodeIfPresent([Double].self, forKey: .active)
    psi = try container.decodeIfPresent(Quantiles.self, forKey: .psi)
    gradientNorm = try container.decodeIfPresent(Double.self, forKey: .gradientNorm)
    seconds = try container.decodeIfPresent(Double.self, forKey: .seconds)
    samplesPerSecond = try container.decodeIfPresent(Double.self, forKey: .samplesPerSecond)
    smoothness = try container.decodeIfPresent(Smoothness.self, forKey: .smoothness)
    let all = try decoder.container(keyedBy: NamedKey.self)
    for key in all.allKeys where DefenseRegistry.entries.contains(where: { $0.name == key.stringValue }) {
      for (name, value) in (try? all.decode([String: Double].self, forKey: key)) ?? [:] {
        methodNumbers["\(key.stringValue).\(name)"] = value
      }
    }
  }

  /// The epochs of a file's text. A last line that is no whole JSON is what a writer that was killed left; it is not counted.
  ///
  /// - Throws: `SATError` naming `path` and the line that is not an epoch.
  static func read(_ text: String, path: String) throws(SATError) -> [RecordedEpoch] {
    let decoder = JSONDecoder()
    // Python writes NaN and Infinity, which JSON lacks and JSON5 has.
    decoder.allowsJSON5 = true
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    var epochs: [RecordedEpoch] = []
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let last = lines.lastIndex { !$0.allSatisfy(\.isWhitespace) }
    for (i, line) in lines.enumerated() where !line.allSatisfy(\.isWhitespace) {
      do {
        epochs.append(try decoder.decode(RecordedEpoch.self, from: Data(line.utf8)))
      } catch {
        if i == last, (try? decoder.decode(AnyJSON.self, from: Data(line.utf8))) == nil { break }
        throw SATError("\(path), line \(i + 1) is not an epoch's metrics; expected a JSON object with `epoch`, so restore or delete the line")
      }
    }
    return epochs
  }
}
