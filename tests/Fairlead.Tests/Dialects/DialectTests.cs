using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects;

public sealed class DialectTests
{
    private static readonly Dialect[] All =
    [
        OpenAiChatDialect.Create(), OpenAiCompletionsDialect.Create(), OpenAiEmbeddingsDialect.Create(), ResponsesDialect.Create(),
        InputTokensDialect.Create(), CompactDialect.Create(), FairleadDialect.Create(), EstimateDialect.Create(), MessagesDialect.Create(),
        CountTokensDialect.Create(),
    ];

    public static TheoryData<string> Names => [.. All.Select(dialect => dialect.Name)];

    // Names are stored with generations and audit records.
    [Theory]
    [InlineData("openai.chat", "/v1/chat/completions", "conversations native native-streams streams")]
    [InlineData("openai.completions", "/v1/completions", "conversations native native-streams streams")]
    [InlineData("openai.embeddings", "/v1/embeddings", "embeddings native")]
    [InlineData("openai.responses", "/v1/responses", "conversations native native-streams collector streams stored messages background")]
    [InlineData("openai.responses.input_tokens", "/v1/responses/input_tokens", "conversations")]
    [InlineData("openai.responses.compact", "/v1/responses/compact", "conversations native")]
    [InlineData("fairlead", "/v2/generations", "conversations streams stored delivery")]
    [InlineData("fairlead.estimates", "/v2/estimates", "conversations")]
    [InlineData("anthropic.messages", "/v1/messages", "conversations native native-streams streams")]
    [InlineData("anthropic.count_tokens", "/v1/messages/count_tokens", "conversations native")]
    public void Create_AnyDialect_HasExpectedPathAndParts(string name, string path, string parts)
    {
        var dialect = new DialectRegistry(All).Find(name)!;
        Assert.Equal(path, dialect.Path);
        (string Name, object? Part)[] known =
        [
            ("conversations", dialect.Conversations), ("embeddings", dialect.Embeddings), ("native", dialect.Native),
            ("native-streams", dialect.Native?.Streams), ("collector", dialect.Native?.Streams?.Collector), ("streams", dialect.Streams),
            ("stored", dialect.StoredStreams), ("messages", dialect.Messages), ("background", dialect.Background), ("delivery", dialect.Delivery),
        ];
        Assert.Equal(parts, string.Join(' ', known.Where(part => part.Part is not null).Select(part => part.Name)));
    }

    [Fact]
    public void DialectTable_All_HasEveryDialect() => Assert.Equal(10, All.Length);

    [Theory]
    [MemberData(nameof(Names))]
    public void Create_AnyDialect_CanWriteStreamsItCanRead(string name)
    {
        var dialect = new DialectRegistry(All).Find(name)!;
        // A stream that can be read from a provider, or read again later, must have a form for the client.
        if (dialect.Native?.Streams is not null || dialect.StoredStreams is not null) Assert.NotNull(dialect.Streams);
        Assert.True(dialect.Operation == Operation.Embeddings ? dialect.Embeddings is not null : dialect.Conversations is not null);
    }

    [Fact]
    public void Registry_TwoDialectsWithOneName_Throws() =>
        Assert.Throws<ArgumentException>(() => new DialectRegistry([OpenAiChatDialect.Create(), OpenAiChatDialect.Create()]));

    [Fact]
    public void Registry_UnknownName_ReturnsNull()
    {
        var registry = new DialectRegistry(All);
        Assert.Null(registry.Find("openai.later"));
        Assert.Same(registry.Find("anthropic.messages"), registry.At("/v1/messages"));
    }

    [Fact]
    public void Conversation_DialectWithoutConversations_Throws()
    {
        var call = DialectCalls.Answered(OpenAiEmbeddingsDialect.Create(), """{"model":"fast","input":"hi"}""");
        Assert.Throws<InvalidOperationException>(() => call.Conversation);
        Assert.Equal("hi", call.Embeddings.Inputs[0].Text);
    }

    [Fact]
    public void DialectNames_InCode_AppearOnlyInTheirFolders()
    {
        // The name of the gateway's own dialect is also the gateway's.
        var names = All.Select(dialect => dialect.Name)
            .Where(name => name.Contains('.', StringComparison.Ordinal))
            .ToHashSet(StringComparer.Ordinal);
        var uses = IlReader.UsesOf(typeof(Dialect).Assembly).Where(use => use.Used is string text && names.Contains(text)).ToList();
        Assert.Equal(names.Count, uses.Count);
        Assert.All(uses, use => Assert.StartsWith("Fairlead.Dialects.", use.User.Namespace, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false, false, "developer", "max_completion_tokens")]
    [InlineData(true, false, "developer", "max_completion_tokens")]
    [InlineData(true, true, "system", "max_tokens")]
    [InlineData(false, true, "system", "max_tokens")]
    public void WriteBody_AttemptOptions_ChangeOnlyThatAttemptsBody(bool omitsStreamOptions, bool usesOlderNames, string role, string maximum)
    {
        var dialect = OpenAiChatDialect.Create();
        var call = DialectCalls.Of(dialect, Body("a", "", "developer", "max_completion_tokens"));
        Assert.Null(dialect.Requests.Read(call, new RequestBounds()));
        var before = DialectCalls.Upstream(dialect, call, "up");

        var options = new NativeBodyOptions(omitsStreamOptions, usesOlderNames, HoldsToKnownFields: false);
        var streamOptions = omitsStreamOptions ? "" : ""","stream_options":{"include_usage":true}""";
        Assert.Equal(Body("up", streamOptions, role, maximum), DialectCalls.Upstream(dialect, call, "up", options));
        Assert.Equal(before, DialectCalls.Upstream(dialect, call, "up"));
    }

    private static string Body(string model, string streamOptions, string role, string maximum) =>
        $$"""{"model":"{{model}}"{{streamOptions}},"messages":[{"role":"{{role}}","content":"x"}],"{{maximum}}":9,"stream":true}""";
}
