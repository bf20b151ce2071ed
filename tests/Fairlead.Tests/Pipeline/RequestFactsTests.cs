using System.Reflection;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Moderation;
using Fairlead.Responses;
using Fairlead.StructuredOutput;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Pipeline;

public sealed class RequestFactsTests
{
    // The extension headers, and what a dialect's IRequestReader uses.
    private static readonly Type[] Readers =
        [typeof(ExtensionHeaders), typeof(OutputCheck), typeof(ResponseKeeper), typeof(ResponseFiles), typeof(InputCheck), typeof(RequestFacts), typeof(ModerationDialect)];

    private const string Body = """{"model":"a","messages":[{"role":"user","content":"x"}],"stream":STREAM}""";

    [Fact]
    public void RequestFactsSetters_AreCalledOnlyWhileReadingRequest()
    {
        var writers = IlReader.UsesOf(typeof(RequestFacts).Assembly)
            .Where(use => use.Used is MethodBase { IsSpecialName: true } method
                && method.DeclaringType == typeof(RequestFacts)
                && method.Name.StartsWith("set_", StringComparison.Ordinal))
            .Select(use => use.User)
            .ToHashSet();
        Assert.Contains(typeof(ChatRequestReader), writers);
        writers.RemoveWhere(type => type.Namespace!.StartsWith("Fairlead.Dialects", StringComparison.Ordinal));
        Assert.Empty(writers.Except(Readers));
    }

    [Fact]
    public void Streams_OverriddenByDelivery_KeepsRequestFacts()
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), Body.Replace("STREAM", "true", StringComparison.Ordinal));
        Assert.True(call.Streams);
        call.Streams = false;
        Assert.False(call.Streams);
        Assert.True(call.Facts.Stream);
    }

    [Fact]
    public void CapOutput_RequestWithoutMax_CapsCallButNotFacts()
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), Body.Replace("STREAM", "false", StringComparison.Ordinal));
        Assert.Null(call.MaxOutputTokens);
        call.CapOutput(7);
        Assert.Equal((7, 7, null), (call.MaxOutputTokens, call.Conversation.MaxOutputTokens, call.Facts.MaxOutputTokens));
    }
}
