using System.Collections.Frozen;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Validation;

namespace Fairlead.Tests.Validation;

public sealed class RulesTests
{
    private static readonly CatalogueModel TextModel = new()
    {
        Id = "plain",
        OwnedBy = "anthropic",
        ContextWindow = 1000,
        MaxOutputTokens = 100,
        Capabilities = new ModelCapabilities { Tools = false, JsonSchema = false, Logprobs = false, Prefill = false, MultipleChoices = false },
    };

    private static readonly CatalogueModel Thinker = new()
    {
        Id = "thinker",
        OwnedBy = "test",
        InputModalities = FrozenSet.ToFrozenSet(["text", "image", "audio", "pdf"]),
        Capabilities = new ModelCapabilities { Reasoning = true, Sampling = false, SamplingWithoutReasoning = true, ReasoningEfforts = ["low", "high"] },
        Task = "code",
    };

    [Theory]
    [InlineData(RequestFeatures.Images, ErrorCode.IncompatibleInput)]
    [InlineData(RequestFeatures.Audio, ErrorCode.IncompatibleInput)]
    [InlineData(RequestFeatures.PdfFiles, ErrorCode.IncompatibleInput)]
    [InlineData(RequestFeatures.Tools, ErrorCode.UnsupportedParameter)]
    [InlineData(RequestFeatures.JsonSchema, ErrorCode.UnsupportedParameter)]
    [InlineData(RequestFeatures.Logprobs, ErrorCode.UnsupportedParameter)]
    [InlineData(RequestFeatures.Prefill, ErrorCode.UnsupportedParameter)]
    [InlineData(RequestFeatures.AudioOutput, ErrorCode.UnsupportedParameter)]
    internal void Check_WishBeyondTheModel_NamesFieldReasonAndRemedy(RequestFeatures feature, ErrorCode code)
    {
        var facts = new RequestFacts();
        facts.Note(feature, "the.path");
        var error = CapabilityRules.Check(Operation.Chat, facts, TextModel);
        Assert.Equal(code, error?.Code);
        Assert.Equal("the.path", error!.Parameter);
        Assert.Contains("plain", error.Message, StringComparison.Ordinal);
        Assert.Equal(400, error.Definition.Status);
    }

    [Fact]
    public void Check_PlainText_ReturnsNull() => Assert.Null(CapabilityRules.Check(Operation.Chat, new RequestFacts(), TextModel));

    [Fact]
    public void Check_SeveralChoices_NamesParameterN() =>
        Assert.Equal("n", CapabilityRules.Check(Operation.Chat, new RequestFacts { ChoiceCount = 2 }, TextModel)?.Parameter);

    [Fact]
    public void Check_MaxOutputAboveModelLimit_NamesSentField()
    {
        var error = CapabilityRules.Check(Operation.Chat, new RequestFacts { MaxOutputTokens = 101, MaxOutputTokensField = "max_completion_tokens" }, TextModel);
        Assert.Equal("max_completion_tokens", error?.Parameter);
        Assert.Null(CapabilityRules.Check(Operation.Chat, new RequestFacts { MaxOutputTokens = 100 }, TextModel));
    }

    [Fact]
    public void Check_TemperatureOnReasoningModel_IsRefusedUnlessDefaultOrNoReasoning()
    {
        var facts = new RequestFacts { Temperature = 0.2 };
        facts.Note(RequestFeatures.Temperature);
        Assert.Equal("temperature", CapabilityRules.Check(Operation.Chat, facts, Thinker)?.Parameter);
        Assert.Null(CapabilityRules.Check(Operation.Chat, new RequestFacts { Temperature = 1 }, Thinker));
        Assert.Null(CapabilityRules.Check(Operation.Chat, new RequestFacts { Temperature = 0.2, ReasoningEffort = "none" }, Thinker));
        var never = Thinker with { Capabilities = Thinker.Capabilities with { SamplingWithoutReasoning = false } };
        Assert.Equal("temperature", CapabilityRules.Check(Operation.Chat, new RequestFacts { Temperature = 0.2, ReasoningEffort = "none" }, never)?.Parameter);
    }

    [Fact]
    public void Check_ImagesOnlyForCodeModel_RequiresText()
    {
        var facts = new RequestFacts();
        facts.Note(RequestFeatures.Images, "messages[0].content[0]");
        Assert.Equal(ErrorCode.IncompatibleInput, CapabilityRules.Check(Operation.Chat, facts, Thinker)?.Code);
        facts.Note(RequestFeatures.UserText);
        Assert.Null(CapabilityRules.Check(Operation.Chat, facts, Thinker));
    }

    [Fact]
    public void Check_UnknownReasoningEffort_ListsSupportedValues()
    {
        var facts = new RequestFacts { ReasoningEffort = "max" };
        facts.Note(RequestFeatures.ReasoningEffort);
        Assert.Contains("low, high", CapabilityRules.Check(Operation.Chat, facts, Thinker)?.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_ModelKindMismatch_SuggestsEndpoint()
    {
        var vectors = TextModel with { Kind = ModelKind.Embedding };
        Assert.Contains("/v1/embeddings", CapabilityRules.Check(Operation.Chat, new RequestFacts(), vectors)?.Remedy, StringComparison.Ordinal);
        Assert.Equal("model", CapabilityRules.Check(Operation.Embeddings, new RequestFacts(), TextModel)?.Parameter);
    }

    [Fact]
    public void Window_OneTokenAboveLimit_ReturnsContextLengthExceededWithCounts()
    {
        var facts = new RequestFacts { MaxOutputTokens = 100 };
        Assert.Null(WindowRule.Check(new TokenEstimate(900, Basis.Measured), facts, TextModel));
        var error = WindowRule.Check(new TokenEstimate(901, Basis.Measured), facts, TextModel);
        Assert.Equal(ErrorCode.ContextLengthExceeded, error?.Code);
        Assert.Equal(1, (long)error!.Details!["excess_tokens"]!);
        Assert.Equal(1000, (long)error.Details["context_window"]!);
        Assert.Contains("901", error.Message, StringComparison.Ordinal);
        Assert.Contains("99", error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Window_EstimateWithinTolerance_IsAccepted()
    {
        Assert.Null(WindowRule.Check(new TokenEstimate(1100, Basis.Estimated), new RequestFacts(), TextModel));
        Assert.NotNull(WindowRule.Check(new TokenEstimate(1300, Basis.Estimated), new RequestFacts(), TextModel));
    }

    [Fact]
    public void Window_UpperBoundFits_NeedsNoTokenCount()
    {
        Assert.True(WindowRule.FitsFor(900, new RequestFacts { MaxOutputTokens = 100 }, TextModel));
        Assert.False(WindowRule.FitsFor(901, new RequestFacts { MaxOutputTokens = 100 }, TextModel));
    }
}
