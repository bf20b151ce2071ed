using System.Text;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Checks the request of a call: 1. check its texts, 2. write the request again with what was redacted, and read it again, so that nothing
/// after it sees the original, 3. check what the request refers to: earlier responses and items, 4. let the remote rules judge all of it.
/// Thread-safe.
/// </summary>
internal sealed class InputCheck(IConfigurationSource configuration, TimeProvider time)
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    /// <returns>The error, or null.</returns>
    public async ValueTask<GatewayError?> RunAsync(GatewayCall call, CallPolicy policy, CancellationToken cancellationToken)
    {
        if (call.Facts.InputTokenIds > 0 && policy.Rules.Rules.Any(Enforces)) return Unreadable(call);
        using var check = new ContentCheck(policy.Rules, policy.Tally, policy.Placeholders);

        // 1. The texts, decoded, and once more for a judge.
        using var held = new MemoryLease(call.Memory);
        if (!held.TryTake((check.NeedsJudge ? 4L : 2L) * call.Body.Length)) return MemoryBudget.Overloaded;
        var (body, block) = check.Check(call.Body.WrittenSpan, isOwn: false, () => new PooledBuffer(call.Body.Length + 256, call.Memory));
        if (block is not null) return ContentBlocked.Of(block);

        // 2.
        if (body is not null && await ReplaceAsync(call, body, cancellationToken) is { } wrong) return wrong;

        // 3.
        if (call.Facts.Responses is { } stored && CheckStored(stored, check) is { } refused) return refused;

        // 4.
        return await JudgeAsync(check, policy, cancellationToken);
    }

    /// <summary>
    /// The same for a run of a request that was checked when it was accepted: only what it refers to is read again, and counts nothing.
    /// </summary>
    public async ValueTask<GatewayError?> RunAgainAsync(GatewayCall call, CallPolicy policy, CancellationToken cancellationToken)
    {
        if (call.Facts.Responses is not { } stored) return null;
        using var check = new ContentCheck(policy.Rules, new PolicyTally(), policy.Placeholders);
        return CheckStored(stored, check) ?? await JudgeAsync(check, policy, cancellationToken);
    }

    private async ValueTask<GatewayError?> JudgeAsync(ContentCheck check, CallPolicy policy, CancellationToken cancellationToken) =>
        await check.JudgeAsync(policy.Judge, time, cancellationToken) is { } block ? ContentBlocked.Of(block) : null;

    private static bool Enforces(PolicyRuleReference rule) =>
        rule.Action != PolicyAction.Flag && rule.Rule.Direction != PolicyDirection.Output;

    private static GatewayError Unreadable(GatewayCall call) => GatewayError.Unsupported(
        call.Dialect.InputField, "Input of token numbers cannot be checked by the content policy of this key.") with
    {
        Remedy = "Send the input as text.",
    };

    private async ValueTask<GatewayError?> ReplaceAsync(GatewayCall call, PooledBuffer body, CancellationToken cancellationToken)
    {
        // Keep what the headers set.
        var extension = call.Facts.Extension;
        call.Replace(body, new RequestFacts());
        var bounds = configuration.Current.Requests;
        var error = call.Dialect.Requests.Read(call, bounds);
        call.Facts.Extension = extension;
        return error ?? await call.Dialect.Requests.ResolveAsync(call, bounds, cancellationToken);
    }

    // What was stored before the policy was in force. Its placeholders are those of this conversation.
    private static GatewayError? CheckStored(Dialects.OpenAiResponses.ResponsesFacts stored, ContentCheck check)
    {
        if (stored.History is { Count: > 0 } history)
        {
            var items = new List<JsonElement>(history.Count);
            foreach (var item in history)
            {
                var (changed, block) = Changed(item, check);
                if (block is not null) return ContentBlocked.Of(block);
                items.Add(changed);
            }
            stored.History = items;
        }
        if (stored.References is { Count: > 0 } references)
        {
            var items = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
            foreach (var (id, item) in references)
            {
                var (changed, block) = Changed(item, check);
                if (block is not null) return ContentBlocked.Of(block);
                items[id] = changed;
            }
            stored.References = items;
        }
        return null;
    }

    private static (JsonElement Item, PolicyBlock? Block) Changed(JsonElement item, ContentCheck check)
    {
        var json = Encoding.UTF8.GetBytes(item.GetRawText());
        var (body, block) = check.Check(json, isOwn: true, () => new PooledBuffer(json.Length + 64));
        if (body is null) return (item, block);
        using (body)
        {
            using var document = JsonDocument.Parse(body.WrittenMemory, Parsing);
            return (document.RootElement.Clone(), null);
        }
    }
}
