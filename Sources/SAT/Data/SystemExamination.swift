internal import Foundation
internal import SwiftTorch

/// The parts of this machine that `sat` runs on, and their faults.
public struct SystemExamination: Encodable, Sendable {
  /// The weight of a remark.
  public enum Severity: String, Encodable, Sendable {
    /// Keeps `sat` from working.
    case fault
    case advice
  }

  /// A fault or a piece of advice, as one sentence.
  public struct Remark: Encodable, Sendable {
    public var severity: Severity
    public var message: String
  }

  /// A device of this machine and its name.
  public struct DeviceEntry: Encodable, Sendable {
    public var device: String
    public var name: String
  }

  public var format = "sat-doctor/1"
  public var versions: [String: String]
  public var threads: Int
  public var processors: Int
  public var cpuCapability: String
  public var bfloat16: Bool
  public var blas: String
  public var oneDNN: Bool
  public var devices: [DeviceEntry]
  public var findings: [Remark] = []

  public var hasFault: Bool { findings.contains { $0.severity == .fault } }

  /// Examines this machine: versions, processors, devices, and the faults that keep `sat` from working.
  public static func run(dataRoot: DataRoot) -> SystemExamination {
    var examination = SystemExamination()
    examination.examine(dataRoot)
    return examination
  }

  private init() {
    let build = Torch.buildConfiguration
    versions = [
      "sat": SATVersion.current, "shim": "ABI \(Torch.abiVersion)", "libtorch": Torch.version, "swift": Self.swiftVersion,
    ]
    threads = Torch.threadCount
    processors = ProcessInfo.processInfo.activeProcessorCount
    cpuCapability = Torch.cpuCapability
    bfloat16 = Torch.hasBFloat16Instructions
    blas = Self.field("BLAS_INFO", build) ?? "unknown"
    oneDNN = Torch.hasOneDNN
    let graphics = (0..<Device.cudaCount).map(Device.cuda)
    devices = [DeviceEntry(device: "cpu", name: Self.cpuName())]
    devices += graphics.map { DeviceEntry(device: "\($0)", name: (try? $0.name()) ?? "unknown") }
  }

  private mutating func examine(_ dataRoot: DataRoot) {
    func fault(_ message: String) { findings.append(Remark(severity: .fault, message: message)) }
    func advise(_ message: String) { findings.append(Remark(severity: .advice, message: message)) }
    let probe = Tensor.ones(64, 64).matmul(Tensor.ones(64, 64)).sum().item()
    if probe != 64 * 64 * 64 {
      fault("a matrix product came out as \(probe), expected 262144; this libtorch is broken, install another")
    }
    if !oneDNN { advise("this libtorch has no oneDNN, so convolutions are several times slower; the one from pip (torch) has it") }
    if ["generic", "unknown", "none"].contains(blas) {
      advise(
        "this libtorch's BLAS is \(blas), so matrix products are slow; install libopenblas-dev or use the libtorch from pip (torch)"
      )
    }
    if cpuCapability == "DEFAULT" || cpuCapability == "NO AVX" {
      advise("libtorch uses no vector instructions; unset ATEN_CPU_CAPABILITY if it is set, else this CPU has none it knows")
    }
    if threads > processors {
      advise("\(threads) threads are set for \(processors) processors; unset OMP_NUM_THREADS or pass --threads \(processors)")
    }
    let hasDriver = FileManager.default.fileExists(atPath: "/proc/driver/nvidia/version")
    if hasDriver && Device.cudaCount == 0 {
      advise(
        "an NVIDIA driver is here but libtorch sees no CUDA device; set LIBTORCH to a CUDA build of libtorch and run "
          + "scripts/bootstrap")
    }
    do { _ = try DigitsLocation.find(dataRoot: dataRoot) } catch { advise(error.message) }
    do { _ = try Downloader().findCurl() } catch { advise("`sat data fetch` cannot work: \(error.message)") }
  }

  private static func field(_ name: String, _ text: String) -> String? {
    guard let range = text.range(of: name + "=") else { return nil }
    return String(text[range.upperBound...].prefix { $0 != "," && $0 != "\n" && $0 != " " })
  }

  /// Returns a device with its name, such as "cpu, AMD EPYC".
  static func name(of device: Device) -> String {
    device.isCUDA ? "\(device), \((try? device.name()) ?? "unknown")" : "cpu, \(cpuName())"
  }

  private static func cpuName() -> String {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "CPU"
  }

  private static var swiftVersion: String {
    #if compiler(>=6.4)
      "6.4 or later"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }
}
