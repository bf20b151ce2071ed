using System.Reflection;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Identity;
using Fairlead.Pipeline;
using Fairlead.Tests.Dialects;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Identity;

/// <summary>
/// Every field of a request is in a part of its identity, or on a list of those that do not shape the output. A new field fails here until
/// that is decided.
/// </summary>
public sealed class RequestIdentityTests
{
    /// <summary>Members of <c>fairlead</c> that shape the output. <c>budget_usd</c> does so as the cap that it sets.</summary>
    private static readonly string[] ShapingExtensions = [nameof(CallExtension.Structured), nameof(CallExtension.Route)];

    private static readonly string[] OtherExtensions =
    [
        nameof(CallExtension.Class), nameof(CallExtension.Deadline), nameof(CallExtension.OnDisconnect), nameof(CallExtension.Task),
        nameof(CallExtension.BatchTokens), nameof(CallExtension.BatchDelay), nameof(CallExtension.BudgetUsd), nameof(CallExtension.Webhook),
        nameof(CallExtension.Rescue),
        nameof(CallExtension.Cache),
    ];

    /// <summary>What a call has beside its body that shapes the output.</summary>
    private static readonly string[] ShapingMembers =
    [
        nameof(GatewayCall.Body), nameof(GatewayCall.Model), nameof(GatewayCall.AnthropicVersion), nameof(GatewayCall.AnthropicBeta),
        nameof(GatewayCall.Simulate), nameof(GatewayCall.Policy),
    ];

    /// <summary>What a call has that is derived from these, decided later, or does not shape the output.</summary>
    private static readonly string[] OtherMembers =
    [
        nameof(GatewayCall.Facts), nameof(GatewayCall.Streams), nameof(GatewayCall.Address), nameof(GatewayCall.Endpoint), nameof(GatewayCall.Site),
        nameof(GatewayCall.IdempotencyKey), nameof(GatewayCall.Idempotency), nameof(GatewayCall.RepeatTimeout), nameof(GatewayCall.QueuedRun), nameof(GatewayCall.ProviderKey), nameof(GatewayCall.QuotaReservation),
        nameof(GatewayCall.Session), nameof(GatewayCall.Turn), nameof(GatewayCall.Class), nameof(GatewayCall.Deadline), nameof(GatewayCall.MustTranslate),
        nameof(GatewayCall.RunLease), nameof(GatewayCall.HandedOver), nameof(GatewayCall.MaxInputTokens), nameof(GatewayCall.InputEstimate),
        nameof(GatewayCall.Reservation), nameof(GatewayCall.Limits), nameof(GatewayCall.IsRepair), nameof(GatewayCall.Rescue), nameof(GatewayCall.RunsLater),
        nameof(GatewayCall.StoppedByBudget), nameof(GatewayCall.RecordRoom), nameof(GatewayCall.RecordHead), nameof(GatewayCall.Sender), nameof(GatewayCall.IsCoalesced), nameof(GatewayCall.CoveredAttempts),
        nameof(GatewayCall.CacheControl), nameof(GatewayCall.Share), nameof(GatewayCall.Cache), nameof(GatewayCall.ForbidsCache),
        nameof(GatewayCall.Answering), nameof(GatewayCall.Cancellation), nameof(GatewayCall.Ending), nameof(GatewayCall.SuppressedRefusals),
        nameof(GatewayCall.Trace), nameof(GatewayCall.ServerSpan), nameof(GatewayCall.IncomingTrace), nameof(GatewayCall.Conversation),
        nameof(GatewayCall.Violations), nameof(GatewayCall.StartedAt), nameof(GatewayCall.Memory), nameof(GatewayCall.Run), nameof(GatewayCall.Delivery),
        nameof(GatewayCall.CheckedInput), nameof(GatewayCall.Output), nameof(GatewayCall.HasPassedPolicies),
    ];

    private static readonly Dictionary<string, (Dialect Dialect, string[] Fields)> Readers = new()
    {
        ["chat"] = (OpenAiChatDialect.Create(), OpenAiNames("Prompt", "Suffix", "Echo", "BestOf")),
        ["completions"] = (OpenAiCompletionsDialect.Create(), OpenAiNames("Messages")),
        ["responses"] = (ResponsesDialect.Create(), Names(typeof(ResponsesDialect).Assembly.GetType("Fairlead.Dialects.OpenAiResponses.ResponsesRequestReader")!, "Names")),
        ["embeddings"] = (OpenAiEmbeddingsDialect.Create(), Names(typeof(EmbeddingsRequestReader), "Fields")),
        ["messages"] = (MessagesDialect.Create(), MessagesNames()),
        ["generations"] = (FairleadDialect.Create(), Names(typeof(FairleadDialect).Assembly.GetType("Fairlead.Dialects.FairleadV2.V2RequestReader")!, "Known")),
    };

    public static TheoryData<string> DialectNames => [.. Readers.Keys];

    [Theory]
    [MemberData(nameof(DialectNames))]
    public void Of_EveryFieldOfDialect_CountsUnlessListed(string name)
    {
        var (dialect, fields) = Readers[name];
        Assert.True(fields.Length >= 6, $"Only {fields.Length} fields were found.");
        foreach (var field in fields.Append("a_field_of_tomorrow"))
        {
            if (field == "model") continue;
            var isSame = KeyOf(Call(dialect, field, "1")) == KeyOf(Call(dialect, field, "2"));
            var isListed = dialect.FieldsWithoutEffect.Contains(field);
            Assert.True(isSame == isListed, $"'{field}' {(isSame ? "is in no part of the identity and not listed" : "is listed but counts")}.");
        }
        Assert.Subset(fields.ToHashSet(), dialect.FieldsWithoutEffect.ToHashSet());
    }

    [Fact]
    public void Of_EveryExtension_CountsUnlessListed()
    {
        var properties = typeof(CallExtension).GetProperties(BindingFlags.Instance | BindingFlags.Public).Select(property => property.Name);
        Assert.Equal(ShapingExtensions.Concat(OtherExtensions).Order(StringComparer.Ordinal), properties.Order(StringComparer.Ordinal));
        var plain = Call(Readers["chat"].Dialect, "n", "1");
        var key = KeyOf(plain);
        foreach (var name in ShapingExtensions.Concat(OtherExtensions))
        {
            var property = typeof(CallExtension).GetProperty(name)!;
            var extension = new CallExtension();
            property.SetValue(extension, Other(property.PropertyType));
            plain.Facts.Extension = extension;
            Assert.True(KeyOf(plain) != key == ShapingExtensions.Contains(name), name);
        }
    }

    [Fact]
    public void Of_EveryMemberOfCall_IsSortedIntoShapingOrOther()
    {
        var members = typeof(GatewayCall).GetProperties(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(property => property.SetMethod is not null).Select(property => property.Name);
        Assert.Equal(ShapingMembers.Concat(OtherMembers).Order(StringComparer.Ordinal), members.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Of_ShapingMembers_Count()
    {
        var dialect = Readers["chat"].Dialect;
        var key = KeyOf(Call(dialect, "n", "1"));
        Assert.Equal(key, KeyOf(Call(dialect, "n", "1")));
        foreach (var change in new Action<GatewayCall>[]
        {
            call => call.AnthropicVersion = "2024-01-01",
            call => call.AnthropicBeta = "b",
            call => call.Simulate = "ttft=1ms",
            call => call.Model = call.Model with { Id = "other" },
            call => call.Model = call.Model with { Deployments = [new Deployment { Name = "p/m", ProviderName = "p", UpstreamModel = "m" }] },
            call => call.CapOutput(7),
        })
        {
            var call = Call(dialect, "n", "1");
            change(call);
            Assert.NotEqual(key, KeyOf(call));
        }
    }

    [Fact]
    public void WithoutInput_OtherInputs_IsEqual()
    {
        var dialect = Readers["embeddings"].Dialect;
        var identity = Identity();
        var one = identity.WithoutInput(DialectCalls.Of(dialect, """{"model":"fast","input":"a","dimensions":3}"""));
        Assert.Equal(one, identity.WithoutInput(DialectCalls.Of(dialect, """{"dimensions":3,"input":["b","c"],"model":"fast","user":"u"}""")));
        Assert.NotEqual(one, identity.WithoutInput(DialectCalls.Of(dialect, """{"model":"fast","input":"a","dimensions":4}""")));
        Assert.NotEqual(one, identity.WithoutInput(DialectCalls.Of(dialect, """{"model":"fast","input":"a","dimensions":3,"encoding_format":"base64"}""")));
    }

    [Fact]
    public void Of_FieldsInOtherOrder_IsEqual()
    {
        var dialect = Readers["chat"].Dialect;
        var one = DialectCalls.Of(dialect, """{"model":"fast","messages":[{"role":"user","content":"x"}],"temperature":0,"stream":true,"user":"u"}""");
        var other = DialectCalls.Of(dialect, """{"temperature":0,"messages":[{"content":"x","role":"user"}],"model":"fast"}""");
        Assert.Equal(KeyOf(one), KeyOf(other));
    }

    private static RequestIdentity Identity() =>
        new ServiceCollection().AddRequestIdentity().BuildServiceProvider().GetRequiredService<RequestIdentity>();

    private static IdentityKey KeyOf(GatewayCall call) => Identity().Of(call);

    private static GatewayCall Call(Dialect dialect, string field, string value) =>
        DialectCalls.Of(dialect, $$"""{"model":"fast","{{field}}":{{value}}}""");

    private static string[] Names(Type reader, string table) =>
        (string[])reader.GetField(table, BindingFlags.Static | BindingFlags.NonPublic)!.GetValue(null)!;

    private static string[] OpenAiNames(params string[] except) =>
        [.. Enum.GetNames<OpenAiField>().Except(except).Where(name => name != nameof(OpenAiField.Unknown)).Select(Snake)];

    private static string[] MessagesNames()
    {
        var fields = typeof(MessagesDialect).Assembly.GetType("Fairlead.Dialects.AnthropicMessages.MessagesRequestReader")!
            .GetNestedType("Fields", BindingFlags.NonPublic)!;
        return [.. Enum.GetNames(fields).Where(name => name != "None").Select(Snake)];
    }

    private static string Snake(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);

    private static object Other(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string)) return "x";
        if (type == typeof(bool)) return true;
        if (type == typeof(int)) return 7;
        if (type == typeof(decimal)) return 7m;
        if (type == typeof(TimeSpan)) return TimeSpan.FromSeconds(7);
        if (type == typeof(RouteHints)) return new RouteHints { Exclude = ["a"] };
        if (type == typeof(CacheWish)) return new CacheWish { Mode = CacheMode.On };
        return type.IsEnum ? Enum.GetValues(type).GetValue(1)! : throw new NotSupportedException($"Extend this test for {type.Name}.");
    }
}
