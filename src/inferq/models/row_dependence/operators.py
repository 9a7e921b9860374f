"""The rule for each ONNX operator: where the rows are in its outputs, or that it mixes them.

Versions of operators are those of https://onnx.ai/onnx/operators. An operator without a rule is not
known to mix rows, but their axis is unknown in its outputs.
"""

from inferq.models.row_dependence.elementwise import (
    combine_elementwise,
    follow_arithmetic,
    follow_broadcast,
    follow_dropout,
    follow_identity,
    follow_string_normalizer,
    follow_unary,
    make_refusal_rule,
    refuse_random_numbers,
)
from inferq.models.row_dependence.indexing import (
    follow_center_crop_pad,
    follow_compress,
    follow_concat,
    follow_concat_from_sequence,
    follow_gather,
    follow_gather_elements,
    follow_gather_nd,
    follow_one_hot,
    follow_pad,
    follow_qlinear_concat,
    follow_reverse_sequence,
    follow_scatter,
    follow_sequence_construct,
    follow_slice,
    follow_split,
    follow_split_to_sequence,
)
from inferq.models.row_dependence.layers import (
    follow_array_feature_extractor,
    follow_attention,
    follow_estimator,
    follow_feature_vectorizer,
    follow_global_pool,
    follow_list_per_value,
    follow_recurrent,
    follow_spatial,
)
from inferq.models.row_dependence.matrix_products import (
    follow_cdist,
    follow_det,
    follow_einsum,
    follow_gemm,
    follow_packed_matmul,
    follow_trilu,
    make_matmul_rule,
)
from inferq.models.row_dependence.reductions import (
    follow_arg_max,
    follow_batch_normalization,
    follow_cumulative_sum,
    follow_dft,
    follow_layer_normalization,
    follow_loss,
    follow_mean_variance_normalization,
    follow_reduce,
    follow_softmax,
    follow_top_k,
    make_axis_rule,
)
from inferq.models.row_dependence.shapes import (
    follow_constant,
    follow_constant_of_shape,
    follow_expand,
    follow_flatten,
    follow_range,
    follow_reshape,
    follow_resize,
    follow_shape,
    follow_size,
    follow_squeeze,
    follow_tile,
    follow_transpose,
    follow_unsqueeze,
)
from inferq.models.row_dependence.traced_node import Rule


def _assign(text: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(text.split(), rule)


_ONNX: dict[str, Rule] = {
    **_assign(
        "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh DequantizeLinear Elu Erf "
        "Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not PRelu QuantizeLinear "
        "Reciprocal RegexFullMatch Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt "
        "Swish Tan Tanh ThresholdedRelu BiasGelu FastGelu QuickGelu FusedGelu QLinearSigmoid "
        "QLinearLeakyRelu RotaryEmbedding",
        follow_unary,
    ),
    **_assign(
        "Cast CastLike Identity BitCast Optional OptionalGetElement SequenceAt SequenceErase", follow_identity
    ),
    **_assign(
        "And BitShift BitwiseAnd BitwiseOr BitwiseXor Greater GreaterOrEqual Less LessOrEqual Max Mean "
        "Min Mod Or StringConcat Sum Xor BiasAdd",
        follow_broadcast,
    ),
    **_assign("Add Div Equal Mul Pow Sub Where", follow_arithmetic),
    **_assign(
        "QLinearAdd QLinearMul", lambda node: combine_elementwise(node, [node.input(0), node.input(3)])
    ),
    **_assign(
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare QLinearReduceMean",
        follow_reduce,
    ),
    **_assign("ArgMax ArgMin", follow_arg_max),
    **_assign("Softmax LogSoftmax Hardmax QLinearSoftmax", follow_softmax),
    "LpNormalization": make_axis_rule("normalizes over all rows", -1),
    **_assign("LayerNormalization RMSNormalization SimplifiedLayerNormalization", follow_layer_normalization),
    **_assign("SkipLayerNormalization SkipSimplifiedLayerNormalization", follow_layer_normalization),
    "MeanVarianceNormalization": follow_mean_variance_normalization,
    **_assign("CumSum CumProd", follow_cumulative_sum),
    "TopK": follow_top_k,
    **_assign(
        "DynamicQuantizeLinear DynamicQuantizeMatMul DynamicQuantizeLSTM",
        make_refusal_rule("takes its scale from all rows"),
    ),
    "NonMaxSuppression": make_refusal_rule("compares boxes of all rows"),
    "NonZero": make_refusal_rule("lists places among all rows"),
    "ImageDecoder": make_refusal_rule("takes all rows for one picture"),
    **_assign(
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike",
        refuse_random_numbers,
    ),
    "BatchNormalization": follow_batch_normalization,
    "Dropout": follow_dropout,
    "Shape": follow_shape,
    "Size": follow_size,
    "Constant": follow_constant,
    "ConstantOfShape": follow_constant_of_shape,
    "EyeLike": make_refusal_rule("takes all rows for those of one matrix"),
    "Range": follow_range,
    "Reshape": follow_reshape,
    "Flatten": follow_flatten,
    "Squeeze": follow_squeeze,
    "Unsqueeze": follow_unsqueeze,
    "Transpose": follow_transpose,
    "Expand": follow_expand,
    "Tile": follow_tile,
    "Concat": follow_concat,
    "QLinearConcat": follow_qlinear_concat,
    "Split": follow_split,
    "Slice": follow_slice,
    "Pad": follow_pad,
    **_assign("Resize Upsample", follow_resize),
    "OneHot": follow_one_hot,
    "Gather": follow_gather,
    "GatherElements": follow_gather_elements,
    "GatherND": follow_gather_nd,
    **_assign("Scatter ScatterElements ScatterND TensorScatter", follow_scatter),
    "CenterCropPad": follow_center_crop_pad,
    "Compress": follow_compress,
    "Det": follow_det,
    "DFT": follow_dft,
    **_assign("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", follow_loss),
    "StringNormalizer": follow_string_normalizer,
    "Trilu": follow_trilu,
    "Unique": make_refusal_rule("compares all rows"),
    "ReverseSequence": follow_reverse_sequence,
    **_assign(
        "MatMul MatMulInteger FusedMatMul TransposeMatMul MatMulIntegerToFloat", make_matmul_rule(0, 1)
    ),
    **_assign("QLinearMatMul QGemm", make_matmul_rule(0, 3)),
    "Gemm": follow_gemm,
    **_assign("MatMulNBits MatMulBnb4", follow_packed_matmul),
    "Einsum": follow_einsum,
    **_assign(
        "AffineGrid AveragePool Col2Im Conv ConvInteger ConvTranspose DeformConv DepthToSpace FusedConv "
        "GridSample GroupNorm GroupNormalization InstanceNormalization LRN LpPool MaxPool NhwcConv "
        "NhwcMaxPool QLinearAveragePool QLinearConv SpaceToDepth STFT",
        follow_spatial,
    ),
    **_assign("GlobalAveragePool GlobalLpPool GlobalMaxPool QLinearGlobalAveragePool", follow_global_pool),
    **_assign("LSTM GRU RNN", follow_recurrent),
    **_assign(
        "Attention MultiHeadAttention GroupQueryAttention QAttention EmbedLayerNormalization",
        follow_attention,
    ),
    **_assign("SequenceConstruct SequenceInsert", follow_sequence_construct),
    "SplitToSequence": follow_split_to_sequence,
    "ConcatFromSequence": follow_concat_from_sequence,
    "CDist": follow_cdist,
    "TfIdfVectorizer": follow_estimator,
    # both pad each row to the longest of all, but what follows a Tokenizer ignores padding
    "StringSplit": make_refusal_rule("pads each row to the longest of all"),
    "Tokenizer": follow_list_per_value,
}

_ML: dict[str, Rule] = {
    **_assign("Binarizer CategoryMapper Imputer LabelEncoder Scaler", follow_unary),
    **_assign(
        "LinearClassifier LinearRegressor Normalizer SVMClassifier SVMRegressor TreeEnsemble "
        "TreeEnsembleClassifier TreeEnsembleRegressor",
        follow_estimator,
    ),
    "ArrayFeatureExtractor": follow_array_feature_extractor,
    "FeatureVectorizer": follow_feature_vectorizer,
    "OneHotEncoder": follow_list_per_value,
    "ZipMap": follow_identity,
}

RULES: dict[str, dict[str, Rule]] = {"": _ONNX, "com.microsoft": _ONNX, "ai.onnx.ml": _ML}
"""The rules by domain and name."""
