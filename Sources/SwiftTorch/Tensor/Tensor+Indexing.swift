/// An entry of a subscript, as in `x[0, 1..<3, .newAxis, .ellipsis, mask]`.
public protocol TensorIndexConvertible { var tensorIndex: TensorIndex { get } }

/// The effect of a subscript entry on its dimension.
public struct TensorIndex: TensorIndexConvertible {
  enum Kind {
    case at(Int)
    case slice(from: Int, to: Int?, step: Int)
    case all
    case newAxis
    case ellipsis
    case tensor(Tensor)
  }

  let kind: Kind

  init(_ kind: Kind) { self.kind = kind }

  public var tensorIndex: TensorIndex { self }
}

extension TensorIndexConvertible where Self == TensorIndex {
  /// Keeps the whole dimension.
  public static var all: TensorIndex { TensorIndex(.all) }
  /// Inserts a dimension of size 1.
  public static var newAxis: TensorIndex { TensorIndex(.newAxis) }
  /// Keeps all dimensions that the other entries do not use.
  public static var ellipsis: TensorIndex { TensorIndex(.ellipsis) }

  /// Picks every `step`-th index from `from` up to but without `to`; nil means the end of the dimension.
  public static func stride(from: Int = 0, to: Int? = nil, by step: Int) -> TensorIndex {
    TensorIndex(.slice(from: from, to: to, step: step))
  }

  /// Picks the indices from `start` through `last`. After -1 comes nil, because 0 would mean the first element.
  fileprivate static func slice(from start: Int, through last: Int) -> TensorIndex {
    .stride(from: start, to: last == -1 ? nil : last + 1, by: 1)
  }
}

/// Picks one index and drops the dimension. A negative index counts from the end.
extension Int: TensorIndexConvertible { public var tensorIndex: TensorIndex { TensorIndex(.at(self)) } }

extension Range<Int>: TensorIndexConvertible {
  public var tensorIndex: TensorIndex { .stride(from: lowerBound, to: upperBound, by: 1) }
}

extension ClosedRange<Int>: TensorIndexConvertible {
  public var tensorIndex: TensorIndex { .slice(from: lowerBound, through: upperBound) }
}

extension PartialRangeFrom<Int>: TensorIndexConvertible { public var tensorIndex: TensorIndex { .stride(from: lowerBound, by: 1) } }

extension PartialRangeUpTo<Int>: TensorIndexConvertible { public var tensorIndex: TensorIndex { .stride(to: upperBound, by: 1) } }

extension PartialRangeThrough<Int>: TensorIndexConvertible {
  public var tensorIndex: TensorIndex { .slice(from: 0, through: upperBound) }
}

/// Picks elements by a bool mask or by int64 positions (PyTorch's advanced indexing).
extension Tensor: TensorIndexConvertible { public var tensorIndex: TensorIndex { TensorIndex(.tensor(self)) } }

extension Tensor {
  /// Picks elements by PyTorch's rules: numbers and ranges give a view, and masks and positions give a copy.
  ///
  /// An assignment changes the storage of this tensor in place (`index_put_`, `copy_`).
  public subscript(_ indices: any TensorIndexConvertible...) -> Tensor {
    get {
      let (view, positions) = resolved(indices.map(\.tensorIndex))
      return positions.isEmpty ? view : Op.index(.tensor(view), .optionalTensors(positions))
    }
    set {
      let (view, positions) = resolved(indices.map(\.tensorIndex))
      if positions.isEmpty {
        view.copyInPlace(from: newValue)
      } else {
        _ = Op.indexPut(.tensor(view), .optionalTensors(positions), .tensor(newValue))
      }
    }
  }

  /// Applies all entries except tensors as views, and returns the tensors for `index`: one or nil per dimension.
  private func resolved(_ indices: [TensorIndex]) -> (view: Tensor, positions: [Tensor?]) {
    let consumed = indices.reduce(0) { total, index in
      switch index.kind {
      case .newAxis, .ellipsis: total
      case .tensor(let mask) where mask.dtype == .bool: total + mask.ndim
      default: total + 1
      }
    }
    require(consumed <= ndim, "subscript: \(consumed) indices for a tensor of shape \(shape)")
    var view = self
    var positions: [Tensor?] = []
    var dim = 0
    func keep(_ count: Int) {
      positions += Array(repeating: nil, count: count)
      dim += count
    }
    for index in indices {
      switch index.kind {
      case .at(let position): view = Op.select(.tensor(view), .int(dim), .int(position))
      case .slice(let start, let end, let step):
        view = Op.slice(.tensor(view), .int(dim), .int(start), .optional(end), .int(step))
        keep(1)
      case .all: keep(1)
      case .newAxis:
        view = view.unsqueezed(dim: dim)
        keep(1)
      case .ellipsis: keep(ndim - consumed)
      case .tensor(let tensor):
        positions.append(tensor)
        dim += tensor.dtype == .bool ? tensor.ndim : 1
      }
    }
    return (view, positions.contains { $0 != nil } ? positions : [])
  }

  /// Returns the rows at the given int64 positions along `dim` (`torch.index_select`).
  public func selecting(_ indices: Tensor, dim: Int = 0) -> Tensor { Op.indexSelect(.tensor(self), .int(dim), .tensor(indices)) }

  /// Picks the elements at int64 positions along a dimension (`torch.gather`).
  public func gathered(dim: Int, at indices: Tensor) -> Tensor { Op.gather(.tensor(self), .int(dim), .tensor(indices)) }

  /// Returns a copy with `value` at the given int64 positions along `dim` (`scatter`).
  public func scattering(_ value: some ScalarConvertible, dim: Int, at indices: Tensor) -> Tensor {
    Op.scatterInPlace(.tensor(cloned()), .int(dim), .tensor(indices), .scalar(value.scalar))
  }

  /// Turns int64 labels into rows of zeros with a single one (`F.one_hot`).
  public func oneHot(classes: Int) -> Tensor { Op.oneHot(.tensor(self), .int(classes)) }
}
