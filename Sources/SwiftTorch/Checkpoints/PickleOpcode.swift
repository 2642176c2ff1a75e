extension Unpickler {
  /// The instructions of pickle protocols 0 to 5 that PyTorch's files use, with the names of `pickletools`.
  enum Opcode: UInt8 {
    // Stack and memo.
    case mark = 0x28, pop = 0x30, popMark = 0x31, duplicate = 0x32, put = 0x70, binPut = 0x71, longBinPut = 0x72,
      memoize = 0x94, get = 0x67, binGet = 0x68, longBinGet = 0x6A
    // Constants and numbers.
    case none = 0x4E, newTrue = 0x88, newFalse = 0x89, binInt1 = 0x4B, binInt2 = 0x4D, binInt = 0x4A, long1 = 0x8A,
      long4 = 0x8B, binFloat = 0x47, int = 0x49, long = 0x4C, float = 0x46
    // Text and bytes.
    case binUnicode = 0x58, shortBinUnicode = 0x8C, binUnicode8 = 0x8D, binString = 0x54, shortBinString = 0x55,
      unicode = 0x56, binBytes = 0x42, binBytes8 = 0x8E, byteArray8 = 0x96, shortBinBytes = 0x43
    // Containers.
    case emptyTuple = 0x29, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87, tuple = 0x74, emptyList = 0x5D, list = 0x6C,
      append = 0x61, appends = 0x65, emptyDict = 0x7D, dict = 0x64, setItem = 0x73, setItems = 0x75, emptySet = 0x8F,
      addItems = 0x90, frozenSet = 0x91
    // Globals, calls and storages outside the pickle.
    case global = 0x63, stackGlobal = 0x93, inst = 0x69, obj = 0x6F, reduce = 0x52, newObj = 0x81, newObjEx = 0x92,
      build = 0x62, binPersID = 0x51
    // Framing, the end, and the instructions that the unpickler always refuses.
    case stop = 0x2E, persID = 0x50, proto = 0x80, frame = 0x95, ext1 = 0x82, ext2 = 0x83, ext4 = 0x84
  }
}
