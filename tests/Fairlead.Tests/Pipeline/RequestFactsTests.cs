using System.Reflection;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.StructuredOutput;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Pipeline;

public sealed class RequestFactsTests
{
    // The extension headers, and what a dialect's IRequestReader uses.
    private static readonly Type[] Readers = [typeof(RequestReader), typeof(StructuredWish), typeof(ResponseKeeper), typeof(ResponseFiles), typeof(RequestFacts)];

    [Fact]
    public void Setters_AreCalledOnlyWhileTheRequestIsRead()
    {
        var writers = IlReader.UsesOf(typeof(RequestFacts).Assembly)
            .Where(use => use.Used is MethodBase { IsSpecialName: true, DeclaringType: { } type } method && type == typeof(RequestFacts) && method.Name.StartsWith("set_", StringComparison.Ordinal))
            .Select(use => use.User)
            .ToHashSet();
        Assert.Contains(typeof(ChatRequestReader), writers);
        Assert.Empty(writers.Where(type => !type.Namespace!.StartsWith("Fairlead.Dialects", StringComparison.Ordinal) && !Readers.Contains(type)).Select(type => type.FullName));
    }

    [Fact]
    public void Streams_DecidedByADelivery_LeavesTheFacts()
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), """{"model":"a","messages":[{"role":"user","content":"x"}],"stream":true}""");
        Assert.True(call.Streams);
        call.Streams = false;
        Assert.False(call.Streams);
        Assert.True(call.Facts.Stream);
    }

    [Fact]
    public void CapOutput_RequestWithoutMaximum_CapsTheCallAndLeavesTheFacts()
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), """{"model":"a","messages":[{"role":"user","content":"x"}]}""");
        Assert.Null(call.MaxOutputTokens);
        call.CapOutput(7);
        Assert.Equal((7, 7, null), (call.MaxOutputTokens, call.Conversation.MaxOutputTokens, call.Facts.MaxOutputTokens));
    }
}
