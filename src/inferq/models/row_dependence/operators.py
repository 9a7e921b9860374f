"""What each ONNX operator does to rows: where they are in its outputs, or that it mixes them.

Versions of operators are those of https://onnx.ai/onnx/operators. An operator that is not here is not known
to mix rows, but they are lost sight of in its outputs.
"""

from inferq.models.row_dependence.elementwise import (
    combine,
    follow_arithmetic,
    follow_broadcast,
    follow_drop_out,
    follow_first,
    follow_normalized_text,
    follow_random,
    follow_same,
    refuse_rows,
)
from inferq.models.row_dependence.indexing import (
    follow_compress,
    follow_concat,
    follow_concat_from_sequence,
    follow_crop,
    follow_gather,
    follow_gather_elements,
    follow_gather_nd,
    follow_one_hot,
    follow_pad,
    follow_quantized_concat,
    follow_reverse,
    follow_scatter,
    follow_sequence,
    follow_slice,
    follow_split,
    follow_split_to_sequence,
)
from inferq.models.row_dependence.layers import (
    follow_attention,
    follow_estimator,
    follow_features,
    follow_global_pool,
    follow_new_last_axis,
    follow_per_picture,
    follow_pick_features,
    follow_recurrent,
)
from inferq.models.row_dependence.matrix_products import (
    follow_determinant,
    follow_distances,
    follow_einsum,
    follow_gemm,
    follow_packed_weights,
    follow_triangle,
    multiply_at,
)
from inferq.models.row_dependence.node_inputs import Rule
from inferq.models.row_dependence.reductions import (
    follow_arg,
    follow_cumulative,
    follow_fourier,
    follow_loss,
    follow_mean_variance,
    follow_norm,
    follow_reduce,
    follow_softmax,
    follow_top,
    follow_trained,
    keep_along_axis,
)
from inferq.models.row_dependence.shapes import (
    follow_constant,
    follow_expand,
    follow_filled,
    follow_flatten,
    follow_range,
    follow_reshape,
    follow_resize,
    follow_shape_of,
    follow_size_of,
    follow_squeeze,
    follow_tile,
    follow_transpose,
    follow_unsqueeze,
)


def _names(text: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(text.split(), rule)


_ONNX: dict[str, Rule] = {
    **_names(
        "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh DequantizeLinear Elu Erf "
        "Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not PRelu QuantizeLinear "
        "Reciprocal RegexFullMatch Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt "
        "Swish Tan Tanh ThresholdedRelu BiasGelu FastGelu QuickGelu FusedGelu QLinearSigmoid "
        "QLinearLeakyRelu RotaryEmbedding",
        follow_first,
    ),
    **_names(
        "Cast CastLike Identity BitCast Optional OptionalGetElement SequenceAt SequenceErase", follow_same
    ),
    **_names(
        "And BitShift BitwiseAnd BitwiseOr BitwiseXor Greater GreaterOrEqual Less LessOrEqual Max Mean "
        "Min Mod Or StringConcat Sum Xor BiasAdd",
        follow_broadcast,
    ),
    **_names("Add Div Equal Mul Pow Sub Where", follow_arithmetic),
    **_names("QLinearAdd QLinearMul", lambda call: combine(call, [call.input(0), call.input(3)])),
    **_names(
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare QLinearReduceMean",
        follow_reduce,
    ),
    **_names("ArgMax ArgMin", follow_arg),
    **_names("Softmax LogSoftmax Hardmax QLinearSoftmax", follow_softmax),
    "LpNormalization": keep_along_axis("normalizes over all rows", -1),
    **_names("LayerNormalization RMSNormalization SimplifiedLayerNormalization", follow_norm),
    **_names("SkipLayerNormalization SkipSimplifiedLayerNormalization", follow_norm),
    "MeanVarianceNormalization": follow_mean_variance,
    **_names("CumSum CumProd", follow_cumulative),
    "TopK": follow_top,
    **_names(
        "DynamicQuantizeLinear DynamicQuantizeMatMul DynamicQuantizeLSTM",
        refuse_rows("takes its scale from all rows"),
    ),
    "NonMaxSuppression": refuse_rows("compares boxes of all rows"),
    "NonZero": refuse_rows("lists places among all rows"),
    "ImageDecoder": refuse_rows("takes all rows for one picture"),
    **_names(
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike", follow_random
    ),
    "BatchNormalization": follow_trained,
    "Dropout": follow_drop_out,
    "Shape": follow_shape_of,
    "Size": follow_size_of,
    "Constant": follow_constant,
    "ConstantOfShape": follow_filled,
    "EyeLike": refuse_rows("takes all rows for those of one matrix"),
    "Range": follow_range,
    "Reshape": follow_reshape,
    "Flatten": follow_flatten,
    "Squeeze": follow_squeeze,
    "Unsqueeze": follow_unsqueeze,
    "Transpose": follow_transpose,
    "Expand": follow_expand,
    "Tile": follow_tile,
    "Concat": follow_concat,
    "QLinearConcat": follow_quantized_concat,
    "Split": follow_split,
    "Slice": follow_slice,
    "Pad": follow_pad,
    **_names("Resize Upsample", follow_resize),
    "OneHot": follow_one_hot,
    "Gather": follow_gather,
    "GatherElements": follow_gather_elements,
    "GatherND": follow_gather_nd,
    **_names("Scatter ScatterElements ScatterND TensorScatter", follow_scatter),
    "CenterCropPad": follow_crop,
    "Compress": follow_compress,
    "Det": follow_determinant,
    "DFT": follow_fourier,
    **_names("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", follow_loss),
    "StringNormalizer": follow_normalized_text,
    "Trilu": follow_triangle,
    "Unique": refuse_rows("compares all rows"),
    "ReverseSequence": follow_reverse,
    **_names("MatMul MatMulInteger FusedMatMul TransposeMatMul MatMulIntegerToFloat", multiply_at(0, 1)),
    **_names("QLinearMatMul QGemm", multiply_at(0, 3)),
    "Gemm": follow_gemm,
    **_names("MatMulNBits MatMulBnb4", follow_packed_weights),
    "Einsum": follow_einsum,
    **_names(
        "AffineGrid AveragePool Col2Im Conv ConvInteger ConvTranspose DeformConv DepthToSpace FusedConv "
        "GridSample GroupNorm GroupNormalization InstanceNormalization LRN LpPool MaxPool NhwcConv "
        "NhwcMaxPool QLinearAveragePool QLinearConv SpaceToDepth STFT",
        follow_per_picture,
    ),
    **_names("GlobalAveragePool GlobalLpPool GlobalMaxPool QLinearGlobalAveragePool", follow_global_pool),
    **_names("LSTM GRU RNN", follow_recurrent),
    **_names(
        "Attention MultiHeadAttention GroupQueryAttention QAttention EmbedLayerNormalization",
        follow_attention,
    ),
    **_names("SequenceConstruct SequenceInsert", follow_sequence),
    "SplitToSequence": follow_split_to_sequence,
    "ConcatFromSequence": follow_concat_from_sequence,
    "CDist": follow_distances,
    "TfIdfVectorizer": follow_estimator,
    # both pad each row to the longest of all, but behind a Tokenizer comes what passes over padding
    "StringSplit": refuse_rows("pads each row to the longest of all"),
    "Tokenizer": follow_new_last_axis,
}

_ML: dict[str, Rule] = {
    **_names("Binarizer CategoryMapper Imputer LabelEncoder Scaler", follow_first),
    **_names(
        "LinearClassifier LinearRegressor Normalizer SVMClassifier SVMRegressor TreeEnsemble "
        "TreeEnsembleClassifier TreeEnsembleRegressor",
        follow_estimator,
    ),
    "ArrayFeatureExtractor": follow_pick_features,
    "FeatureVectorizer": follow_features,
    "OneHotEncoder": follow_new_last_axis,
    "ZipMap": follow_same,
}

RULES: dict[str, dict[str, Rule]] = {"": _ONNX, "com.microsoft": _ONNX, "ai.onnx.ml": _ML}
"""What is known of operators, by domain and name."""
