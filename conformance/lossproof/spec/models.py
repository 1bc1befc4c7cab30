"""The shape of the files that people write, as strict pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, StrictBool, StrictFloat, StrictInt, StrictStr
from typing_extensions import TypeAliasType

NUMBER_WORD = r"^(nan|inf|-inf|-0\.0|-?0x[0-9a-f]{1,20}(\.[0-9a-f]{0,20})?p[+-]?[0-9]{1,4})$"
DIGITS = r"^(nan|-?inf|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)$"

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]
Sentence = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^https://\S+$")]
Digits = Annotated[str, Field(pattern=DIGITS)]
Dtype = Literal["float64", "float32", "bfloat16", "float16"]
IndexDtype = Literal["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
KindName = Literal["value", "policy", "raises", "hazard", "relation", "contract"]
QuestionName = Annotated[str, Field(pattern=r"^(value|gradient(-[a-z][a-z0-9_]*)?|hessian|tangent)$")]
LayoutName = Literal["transposed", "reversed", "sliced", "expanded", "misaligned", "channels_last"]
TransformName = Literal["vmap", "jit", "autocast"]
ProfileName = Literal["default", "huge"]
RelationName = Literal[
    "equal",
    "sum_of_first_is_second",
    "mean_of_first_is_second",
    "combination",
    "concatenation",
    "permutation",
    "shards",
    "same_bits",
]
PropertyName = Literal["repeatable", "batch-invariant"]
ResultsName = Literal["same", "wider"]
Size = Annotated[int, Field(ge=0)]
ScalarForm = StrictBool | StrictInt | StrictFloat | StrictStr | None
NumberForm = StrictInt | StrictFloat | Annotated[str, Field(pattern=NUMBER_WORD)]
Nested = TypeAliasType("Nested", "NumberForm | list[Nested]")
NestedDigits = TypeAliasType("NestedDigits", "Digits | list[NestedDigits]")


class Form(BaseModel):
    """A mapping with these keys and no others, its values of exactly these types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ValuesForm(Form):
    """A tensor written out, with what a plain list cannot say."""

    values: Annotated[Nested, SkipValidation]
    dtype: IndexDtype | None = None
    layout: LayoutName | None = None


class RecipeForm(Form):
    """A tensor made by an integer formula."""

    shape: list[Size]
    recipe: Literal["hash", "hash_positive", "hash_index", "fill", "periodic"]
    seed: Annotated[int, Field(ge=0)] | None = None
    scale: int | float | None = None
    below: Annotated[int, Field(gt=0)] | None = None
    value: Annotated[NumberForm, SkipValidation] | None = None
    terms: Annotated[list[NumberForm], SkipValidation] | None = None
    dtype: IndexDtype | None = None
    layout: LayoutName | None = None


# Tensors are read by `tensors`, whose messages name the element; the types here make the JSON Schema.
TensorForm = Annotated[Nested | ValuesForm | RecipeForm, SkipValidation]
ParameterForm = Annotated[ScalarForm | Nested | ValuesForm | RecipeForm, SkipValidation]


class FlagForm(Form):
    """The bug that a case catches."""

    bug: Sentence
    link: Link | None = None


class SourceForm(Form):
    """Where an example was published."""

    title: Sentence
    link: Link | None = None


class PublishedForm(Form):
    """The digits that the source printed."""

    dtype: Dtype
    value: Annotated[NestedDigits, SkipValidation]


class CallForm(Form):
    """One of the calls that a relation compares: what it states replaces or extends what the case states.

    A call of another operation states all of its inputs and parameters itself. `after` is the operation that the first
    input goes through before, inside the implementation.
    """

    operation: Identifier | None = None
    inputs: dict[Identifier, TensorForm] = {}
    parameters: dict[Identifier, ParameterForm] = {}
    cotangent: TensorForm | None = None
    after: Identifier | None = None


class CaseForm(Form):
    """One case, or with `each` several that differ in parameters."""

    name: Name
    why: Sentence
    kind: KindName | None = None
    since: Version | None = None
    flags: Annotated[list[FlagForm], Field(min_length=1)] | None = None
    source: SourceForm | None = None
    inputs: dict[Identifier, TensorForm]
    parameters: dict[Identifier, ParameterForm] = {}
    each: dict[Identifier, Annotated[list[ScalarForm], Field(min_length=1)]] | None = None
    dtypes: Annotated[list[Dtype], Field(min_length=1)] | None = None
    questions: Annotated[list[QuestionName], Field(min_length=1)] | None = None
    cotangent: TensorForm | None = None
    direction: TensorForm | None = None
    published: PublishedForm | None = None
    relation: RelationName | None = None
    calls: Annotated[list[CallForm], Field(min_length=2)] | None = None
    coefficients: Annotated[list[StrictInt | StrictFloat], Field(min_length=2)] | None = None
    order: Annotated[list[Size], Field(min_length=1)] | None = None
    axis: Size | None = None
    property: PropertyName | None = None
    transform: TransformName | None = None
    profile: ProfileName | None = None
    copies: Annotated[int, Field(gt=1)] | None = None


class CasesFile(Form):
    """A topic of an operation, spec/cases/<operation>/<topic>.yaml; what it states holds for cases that do not."""

    since: Version
    kind: KindName = "value"
    dtypes: Annotated[list[Dtype], Field(min_length=1)] | None = None
    questions: Annotated[list[QuestionName], Field(min_length=1)] | None = None
    cases: Annotated[list[CaseForm], Field(min_length=1)]


class RangeForm(Form):
    """The numbers that an input may hold; outside it a case is a policy."""

    minimum: int | float
    maximum: int | float


class InputForm(Form):
    """An input of an operation."""

    name: Identifier
    role: Literal["prediction", "weights", "target"]
    shape: Sentence
    dtype: Literal["floating", "index", "index-or-floating"]
    domain: Sentence
    range: RangeForm | None = None
    ignored_by: Identifier | None = None


class ParameterDefinition(Form):
    """A parameter of an operation."""

    type: Literal["tensor", "integer", "number", "choice", "boolean"]
    default: ScalarForm
    choices: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    shape: Literal["classes", "elements"] | None = None
    meaning: Sentence


class ResultForm(Form):
    """What comes out: its shape before the reduction, and what each reduction makes of it."""

    shape: Literal["rows", "rows classes", "elements"]
    reductions: Sentence


class CompositionForm(Form):
    """An operation whose first input goes through another one before."""

    operation: Identifier
    after: Identifier


class OperationFile(Form):
    """An operation: spec/operations/<operation>.yaml."""

    operation: Identifier
    home_dialect: Identifier
    summary: Sentence
    formula: Sentence
    questions: Annotated[list[QuestionName], Field(min_length=1)]
    reference_algorithm: dict[QuestionName, Sentence]
    inputs: Annotated[list[InputForm], Field(min_length=1)]
    class_axis: Literal["second", "last"] | Identifier | None
    parameters: dict[Identifier, ParameterDefinition]
    differentiable: Annotated[list[Identifier], Field(min_length=1)]
    result: ResultForm
    rules: list[Identifier]
    composition: CompositionForm | None = None
    errors: list[Sentence]


class DialectFile(Form):
    """A dialect: spec/dialects/<dialect>.yaml. What one that extends another leaves out is as it is there."""

    dialect: Identifier
    extends: Identifier | None = None
    summary: Sentence
    documentation: Annotated[list[Link], Field(min_length=1)]
    promises: Annotated[list[PropertyName], Field(min_length=1)] | None = None
    label_dtypes: Annotated[list[IndexDtype], Field(min_length=1)] | None = None
    results: ResultsName | None = None
    overwrites: Annotated[list[Identifier], Field(min_length=1)] | None = None
    operations: dict[Identifier, dict[Identifier, StrictStr]] | None = None


class RuleForm(Form):
    """A question on which frameworks lawfully differ."""

    question: Sentence
    values: Annotated[dict[StrictStr, Sentence], Field(min_length=2)]


class RulesFile(Form):
    """The rules and their values: spec/rules.yaml."""

    rules: dict[Identifier, RuleForm]


class ProfileFile(Form):
    """A selection of goldens by id: spec/profiles/<name>.yaml."""

    goldens: Annotated[list[Sentence], Field(min_length=1)]


class BytesForm(Form):
    """The bytes that must move: inputs read and results written once each."""

    value: Annotated[int, Field(gt=0)]
    gradient: Annotated[int, Field(gt=0)]


class WorkloadFile(Form):
    """A benchmark shape: spec/workloads/<name>.yaml."""

    name: Name
    operation: Identifier
    why: Sentence
    inputs: dict[Identifier, TensorForm]
    parameters: dict[Identifier, ParameterForm] = {}
    dtype: Dtype
    bytes: BytesForm
