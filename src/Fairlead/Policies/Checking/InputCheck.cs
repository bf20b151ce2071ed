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
/// Checks the request of a call: 1. find its texts, 2. check each, 3. write the request again with what was redacted, and read it again, so
/// that nothing after it sees the original, 4. check what the request refers to: earlier responses and items. Thread-safe.
/// </summary>
internal sealed class InputCheck(IConfigurationSource configuration)
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    /// <returns>The error, or null.</returns>
    public async ValueTask<GatewayError?> RunAsync(GatewayCall call, CallPolicy policy, CancellationToken cancellationToken)
    {
        if (call.Facts.InputTokenIds > 0 && policy.Rules.Rules.Any(Enforces)) return Unreadable(call);
        var check = policy.Rules.CheckInput(policy.Tally, policy.Placeholders);

        // 1. and 2. The texts, decoded.
        using var held = new MemoryLease(call.Memory);
        if (!held.TryTake(2L * call.Body.Length)) return MemoryBudget.Overloaded;
        var (changes, block) = await ChangesAsync(call.Body.WrittenMemory, check, policy, cancellationToken);
        if (block is not null) return ContentBlocked.Of(block);

        // 3.
        if (changes is not null && await ReplaceAsync(call, changes, cancellationToken) is { } wrong) return wrong;

        // 4.
        return call.Facts.Responses is { } stored ? await CheckStoredAsync(stored, check, policy, cancellationToken) : null;
    }

    /// <summary>
    /// The same for a run of a request that was checked when it was accepted: only what it refers to is read again, and counts nothing.
    /// </summary>
    public static ValueTask<GatewayError?> RunAgainAsync(GatewayCall call, CallPolicy policy, CancellationToken cancellationToken) =>
        call.Facts.Responses is { } stored
            ? CheckStoredAsync(stored, policy.Rules.CheckInput(new PolicyTally(), policy.Placeholders), policy, cancellationToken)
            : default;

    private static bool Enforces(PolicyRuleReference rule) =>
        rule.Action != PolicyAction.Flag && rule.Rule.Direction != PolicyDirection.Output;

    private static GatewayError Unreadable(GatewayCall call) => GatewayError.Unsupported(
        call.Dialect.InputField, "Input of token numbers cannot be checked by the content policy of this key.") with
    {
        Remedy = "Send the input as text.",
    };

    private static async ValueTask<(List<(ContentText Old, string New)>? Changes, PolicyBlock? Block)> ChangesAsync(
        ReadOnlyMemory<byte> json, TextCheck check, CallPolicy policy, CancellationToken cancellationToken)
    {
        List<(ContentText, string)>? changes = null;
        foreach (var text in ContentReader.Read(json.Span))
        {
            var found = check.NeedsJudge
                ? await check.CheckAsync(text.Value, text.Kind, policy.Judge, cancellationToken)
                : check.Check(text.Value, text.Kind);
            if (found.Block is not null) return (null, found.Block);
            if (found.NewText is { } changed) (changes ??= []).Add((text, changed));
        }
        return (changes, null);
    }

    private async ValueTask<GatewayError?> ReplaceAsync(
        GatewayCall call, List<(ContentText Old, string New)> changes, CancellationToken cancellationToken)
    {
        var body = new PooledBuffer(call.Body.Length + 256, call.Memory);
        try
        {
            ContentWriter.Write(call.Body.WrittenSpan, changes, body);
        }
        catch
        {
            body.Dispose();
            throw;
        }
        // Keep what the headers set.
        var extension = call.Facts.Extension;
        call.Replace(body, new RequestFacts());
        var bounds = configuration.Current.Requests;
        var error = call.Dialect.Requests.Read(call, bounds);
        call.Facts.Extension = extension;
        return error ?? await call.Dialect.Requests.ResolveAsync(call, bounds, cancellationToken);
    }

    // What was stored before the policy was in force.
    private static async ValueTask<GatewayError?> CheckStoredAsync(
        Dialects.OpenAiResponses.ResponsesFacts stored, TextCheck check, CallPolicy policy, CancellationToken cancellationToken)
    {
        if (stored.History is { Count: > 0 } history)
        {
            var items = new List<JsonElement>(history.Count);
            foreach (var item in history)
            {
                var (changed, block) = await ChangedAsync(item, check, policy, cancellationToken);
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
                var (changed, block) = await ChangedAsync(item, check, policy, cancellationToken);
                if (block is not null) return ContentBlocked.Of(block);
                items[id] = changed;
            }
            stored.References = items;
        }
        return null;
    }

    private static async ValueTask<(JsonElement Item, PolicyBlock? Block)> ChangedAsync(
        JsonElement item, TextCheck check, CallPolicy policy, CancellationToken cancellationToken)
    {
        var json = Encoding.UTF8.GetBytes(item.GetRawText());
        var (changes, block) = await ChangesAsync(json, check, policy, cancellationToken);
        if (changes is null) return (item, block);
        using var output = new PooledBuffer(json.Length + 64);
        ContentWriter.Write(json, changes, output);
        using var document = JsonDocument.Parse(output.WrittenMemory, Parsing);
        return (document.RootElement.Clone(), null);
    }
}
