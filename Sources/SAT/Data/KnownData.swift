internal import Foundation

/// A data set that `--data` knows by its name, and the folders in which people have it.
struct KnownData: Sendable {
  let name: String
  /// The folders below the data root, the usual one first. torchvision's are among them; "" is the data root itself.
  let places: [String]
  /// Tells whether a folder holds files of the data set.
  let isHere: @Sendable (String) -> Bool
  /// Makes the data set's parts from its name in reports, its folder and the user's choices.
  let parts: @Sendable (_ name: String, _ folder: String, _ reading: ImageReading) throws -> any ImageParts

  /// A new data set needs one more entry here.
  static let all: [KnownData] = [
    KnownData(
      name: "digits", places: [], isHere: { _ in false }, parts: { name, folder, _ in IDXFolder(name: name, folder: folder) }),
    KnownData(
      name: "mnist", places: ["mnist", "MNIST/raw", "mnist/MNIST/raw", "MNIST", "raw", ""], isHere: IDXFolder.isHere,
      parts: { name, folder, _ in IDXFolder(name: name, folder: folder) }),
    cifar(10), cifar(100),
    corrupted(10), corrupted(100),
    KnownData(
      name: "imagenette",
      places: ["imagenette", "imagenette2", "imagenette2-320", "imagenette2-160", "imagenette/imagenette2", ""],
      isHere: { PictureSplits.isDivided($0) && PictureSplits.isImagenette($0) },
      parts: { PictureSplits(name: $0, folder: $1, titles: PictureSplits.imagenetteTitles, reading: $2) }),
  ]

  private static func cifar(_ classes: Int) -> KnownData {
    let unpacked = CIFAR.unpackedFolders(classes: classes)
    return KnownData(
      name: "cifar\(classes)", places: ["cifar\(classes)"] + unpacked + unpacked.map { "cifar\(classes)/\($0)" } + [""],
      isHere: { CIFAR(classes: classes, folder: $0).isHere },
      parts: { name, folder, _ in CIFAR(classes: classes, folder: folder, title: name) })
  }

  private static func corrupted(_ classes: Int) -> KnownData {
    KnownData(
      name: "cifar\(classes)-c", places: ["CIFAR-\(classes)-C", "cifar\(classes)-c", ""], isHere: CorruptedImages.isHere,
      parts: { CorruptedImages(name: $0, folder: $1, reading: $2) })
  }

  /// Returns the folder of the data set: the first of the places that holds it, else the usual place.
  func folder(_ root: DataRoot) throws -> String {
    guard let usual = places.first else { return try DigitsLocation.find(dataRoot: root) }
    return Self.found(places, root.path, isHere) ?? root.appending(usual)
  }

  private static func found(_ places: [String], _ root: String, _ isHere: (String) -> Bool) -> String? {
    places.map { $0.isEmpty ? root : root.hasSuffix("/") ? root + $0 : "\(root)/\($0)" }.first(where: isHere)
  }

  /// Returns the data set whose files lie in a folder that the user named, or in a folder below it that torchvision makes.
  ///
  /// A folder above several data sets is none of them.
  static func recognised(in folder: String) -> (KnownData, folder: String)? {
    if let here = all.first(where: { $0.isHere(folder) }) { return (here, folder) }
    let below = all.compactMap { known in
      found(known.places.filter { !$0.isEmpty }, folder, known.isHere).map { (known, folder: $0) }
    }
    return below.count == 1 ? below[0] : nil
  }
}
