using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.ChatClient;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.ChatClient;

public sealed class EmbeddingGeneratorProviderTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Send_Texts_ReturnsVectorsAndUsage()
    {
        EmbeddingGenerationOptions? seen = null;
        var provider = Provider((texts, options) =>
        {
            seen = options;
            return new(texts.Select(t => new Embedding<float>(new float[] { t.Length, 1 }))) { Usage = new UsageDetails { InputTokenCount = 5 } };
        });
        var call = InnerCall.Of(new EmbeddingsRequest([new("a", null), new("abc", null)]) { Dimensions = 2 });
        var attempt = InnerCall.AttemptAt(provider, "embed");
        var reply = Assert.IsType<GatewayReply.Embedded>(await provider.SendAsync(call, attempt, Token));
        Assert.Equal([1f, 3f], reply.Response.Vectors.Select(v => v.Span[0]));
        Assert.Equal(5, attempt.Meter.Reported!.Value.InputTokens);
        Assert.Equal(2, seen!.Dimensions);
        Assert.Same(call, seen.GetGatewayCall());
    }

    [Theory]
    [InlineData("too few")]
    [InlineData("empty")]
    [InlineData("not finite")]
    [InlineData("other length")]
    public async Task Send_UnusableVectors_Fails(string what)
    {
        var provider = Provider((_, _) => what switch
        {
            "too few" => [],
            "empty" => [new(Array.Empty<float>())],
            "not finite" => [new(new[] { float.NaN, 1 })],
            _ => [new(new[] { 1f, 2, 3 })],
        });
        var reply = await provider.SendAsync(InnerCall.Of(new EmbeddingsRequest([new("a", null)]) { Dimensions = 2 }), InnerCall.AttemptAt(provider, "embed"), Token);
        Assert.Equal(ErrorCode.ProviderError, Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Code);
    }

    [Fact]
    public async Task Send_GeneratorThrows_FailsWithoutExceptionMessage()
    {
        var provider = Provider((_, _) => throw new InvalidOperationException("secret"));
        var reply = await provider.SendAsync(InnerCall.Of(new EmbeddingsRequest([new("a", null)])), InnerCall.AttemptAt(provider, "embed"), Token);
        Assert.Equal("The model failed to respond.", Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Message);
    }

    [Fact]
    public async Task Send_TokenIds_IsRefused()
    {
        var provider = Provider((_, _) => []);
        var reply = await provider.SendAsync(InnerCall.Of(new EmbeddingsRequest([new(null, [1])])), InnerCall.AttemptAt(provider, "embed"), Token);
        Assert.Equal("input", Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Parameter);
    }

    [Fact]
    public async Task Send_Conversation_ReturnsUnsupportedParameter()
    {
        var provider = Provider((_, _) => []);
        var reply = await provider.SendAsync(InnerCall.Of(InnerCall.Ask("Hi")), InnerCall.AttemptAt(provider, "embed"), Token);
        Assert.Equal(ErrorCode.UnsupportedParameter, Assert.IsType<GatewayReply.AttemptFailed>(reply).Error.Code);
    }

    private static EmbeddingGeneratorProvider Provider(Func<IEnumerable<string>, EmbeddingGenerationOptions?, GeneratedEmbeddings<Embedding<float>>> generate) =>
        new("embed", new ScriptedGenerator(generate), TimeProvider.System, NullLogger.Instance);

    private sealed class ScriptedGenerator(Func<IEnumerable<string>, EmbeddingGenerationOptions?, GeneratedEmbeddings<Embedding<float>>> generate) : IEmbeddingGenerator<string, Embedding<float>>
    {
        public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default) =>
            Task.FromResult(generate(values, options));

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
