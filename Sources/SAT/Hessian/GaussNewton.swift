public import SwiftTorch

/// The Gauss-Newton part of every sample's Hessian, G = Jᵀ S J with J = ∂logits/∂θ and S = diag p − p pᵀ (Schraudolph 2002).
///
/// G is the Hessian without the term Σ_c (p − y)_c ∇²z_c. It is positive semidefinite, and close to the Hessian if the network fits
/// the sample. Its non-zero eigenvalues are those of a C x C matrix, which needs one backward pass per class.
public enum GaussNewton {
  /// Returns the largest eigenvalue of G for each sample, [N]; nil for a network that `PerSampleSpectrum` measures one by one.
  public static func topEigenvalues(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, chunk: Int = 32, progress: (_ done: Int) -> Void = { _ in }
  ) throws(TorchError) -> [Double]? {
    guard let network = classifier as? NetworkClassifier else { return nil }
    var values: [Double] = []
    for range in (0..<labels.count).chunks(of: chunk) {
      guard let linearized = try LinearizedNetwork(network, images[range], labels[range]),
        let layers = BatchedLanczos.layers(linearized)
      else { return nil }
      values += try topEigenvalues(linearized, layers)
      progress(range.upperBound)
    }
    return values
  }

  private static func topEigenvalues(_ network: LinearizedNetwork, _ layers: [any PerSampleLayer]) throws(TorchError) -> [Double] {
    let probabilities = network.probabilities
    let (samples, classes) = (probabilities.size(0), probabilities.size(1))
    var rows: [[Tensor]] = []
    for index in 0..<classes {
      let seed = Tensor.zeros(like: probabilities)
      seed[.all, index].fillInPlace(1.0)
      rows.append(try network.vectorJacobianProduct(seed))
    }
    // Computes J Jᵀ, [N, C, C]: the gradient of logit c is D_c⊗a, and ⟨D_c⊗a, D_d⊗a⟩ = ⟨(D_c⊗a)·a, D_d⟩.
    var products = Tensor.zeros([samples, classes, classes], dtype: probabilities.dtype, device: probabilities.device)
    for (index, layer) in layers.enumerated() {
      func flat(_ tensor: Tensor) -> Tensor { tensor.contiguous().reshaped(to: [samples, -1]) }
      let images = Tensor.stacked(rows.map { flat(layer.images($0[index], nil).tangent) }, dim: 1)
      let adjoints = Tensor.stacked(rows.map { flat($0[index]) }, dim: 1)
      products = images.matmul(adjoints.transposed(1, 2), addingTo: products)
    }
    // Factors S = Q Qᵀ with Q = diag √p − p √pᵀ, because √p has length 1.
    let roots = probabilities.sqrt()
    let identity = Tensor.eye(classes, dtype: probabilities.dtype, device: probabilities.device)
    let root = identity * roots.unsqueezed(dim: 1) - probabilities.unsqueezed(dim: 2) * roots.unsqueezed(dim: 1)
    let matrix = root.transposed(1, 2).matmul(products).matmul(root).to(.float64).to(.cpu)
    return matrix.eigh().values[.all, classes - 1].array(of: Double.self)
  }
}
