using System.Net;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Ledger;
using Fairlead.Pipeline;

namespace Fairlead.Auditing;

/// <summary>
/// Writes what the spool keeps of a call, straight from the call. No text of a prompt or an answer and no secret: only what is named
/// here goes in, and what a client chose freely is cut to a bound. <c>node</c> and <c>sequence</c> of a record are the spool's to know
/// and are added when it is read.
/// </summary>
internal static class AuditRecordWriter
{
    /// <summary>Longest text of a client's choosing, in characters.</summary>
    private const int LongestText = 256;

    /// <summary>More attempts than any configuration makes; keeps a record within <see cref="SpoolFormat.MaxPayloadBytes"/>.</summary>
    private const int MostAttempts = 64;

    /// <summary>The audit record of a call that ended with HTTP <paramref name="status"/>.</summary>
    public static void WriteEnded(Utf8JsonWriter json, GatewayCall call, int status)
    {
        var ending = call.Ending ?? throw new InvalidOperationException("A call is recorded after its ending is fixed.");
        var answering = call.Answering ?? (call.Attempts.Count > 0 ? call.Attempts[^1] : null);

        json.WriteStartObject();
        WriteIdentity(json, call);
        WriteDeployment(json, call, answering);
        WriteParameters(json, call);
        json.WriteNull("prompt"u8);
        json.WriteNull("policy"u8);
        json.WriteStartArray("attempts"u8);
        var first = Math.Max(0, call.Attempts.Count - MostAttempts);
        for (var i = first; i < call.Attempts.Count; i++) WriteAttempt(json, call.Attempts[i]);
        json.WriteEndArray();
        WriteUsage(json, ending.Usage);
        WriteMoney(json, "cost_usd"u8, ending.Cost.Usd);
        json.WriteString("outcome"u8, Generations.OutcomeExtensions.ToWire(ending.Outcome));
        json.WriteString("error_code"u8, ending.Error?.Definition.Name);
        json.WriteNumber("status"u8, status);
        WriteTimings(json, call.Timings);
        json.WriteNull("content"u8);
        json.WriteEndObject();
    }

    /// <summary>
    /// All that a recovery needs to make the call's audit record if the process dies: the record as it would be now, with this attempt
    /// running. <c>charge</c> of it is what the attempt would be charged.
    /// </summary>
    public static void WriteStarted(Utf8JsonWriter json, GatewayCall call, Attempt attempt)
    {
        json.WriteStartObject();
        WriteIdentity(json, call);
        WriteDeployment(json, call, attempt);
        WriteParameters(json, call);
        json.WriteStartArray("attempts"u8);
        var first = Math.Max(0, call.Attempts.Count - MostAttempts);
        for (var i = first; i < call.Attempts.Count; i++)
        {
            if (!ReferenceEquals(call.Attempts[i], attempt)) WriteAttempt(json, call.Attempts[i]);
        }
        json.WriteEndArray();
        json.WriteStartObject("running"u8);
        json.WriteString("id"u8, attempt.Id);
        json.WriteNumber("number"u8, attempt.Number);
        WriteDeploymentOf(json, attempt);
        WriteCharge(json, call, attempt);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>What a running attempt would be charged now.</summary>
    public static void WriteProgress(Utf8JsonWriter json, GatewayCall call, Attempt attempt)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, attempt.Id);
        json.WriteString("generation_id"u8, call.GenerationId);
        WriteCharge(json, call, attempt);
        json.WriteEndObject();
    }

    /// <summary>Record ids follow from the generation's, so that a record made twice is known as the same.</summary>
    public static string RecordIdOf(string generationId) =>
        string.Concat("aud_", generationId.StartsWith("gen_", StringComparison.Ordinal) ? generationId.AsSpan(4) : generationId);

    /// <summary>The same for a further run of the generation.</summary>
    public static string RecordIdOf(string generationId, int run) =>
        run <= 1 ? RecordIdOf(generationId) : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{RecordIdOf(generationId)}_{run}");

    private static void WriteIdentity(Utf8JsonWriter json, GatewayCall call)
    {
        var caller = call.Caller;
        json.WriteString("id"u8, RecordIdOf(call.GenerationId, call.Run));
        json.WriteString("at"u8, call.StartedAt.UtcDateTime);
        json.WriteString("request_id"u8, call.RequestId);
        json.WriteString("generation_id"u8, call.GenerationId);
        json.WriteString("organization_id"u8, caller.OrganizationId);
        json.WriteString("project_id"u8, caller.ProjectId);
        json.WriteString("key_id"u8, caller.KeyId);
        WriteAddress(json, call.Address);
        WriteText(json, "endpoint"u8, call.Endpoint);
        json.WriteString("dialect"u8, call.Dialect.Name);
        WriteText(json, "model_requested"u8, call.ModelRequested);
    }

    private static void WriteDeployment(Utf8JsonWriter json, GatewayCall call, Attempt? attempt)
    {
        // Null for a call that was refused before the catalogue knew its model.
        var model = (Catalogue.CatalogueModel?)call.Model;
        json.WriteString("model"u8, model?.Id);
        json.WriteString("provider"u8, attempt?.Deployment.ProviderName);
    }

    private static void WriteAddress(Utf8JsonWriter json, IPAddress? address)
    {
        if (address is null)
        {
            json.WriteNull("address"u8);
            return;
        }
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        Span<byte> text = stackalloc byte[65];
        if (address.TryFormat(text, out var written)) json.WriteString("address"u8, text[..written]);
        else json.WriteNull("address"u8);
    }

    private static void WriteParameters(Utf8JsonWriter json, GatewayCall call)
    {
        var facts = call.Facts;
        json.WriteStartObject("parameters"u8);
        json.WriteBoolean("stream"u8, facts.Stream);
        json.WriteString("class"u8, call.Class);
        if (facts.MaxOutputTokens is { } cap) json.WriteNumber("max_output_tokens"u8, cap);
        if (facts.ChoiceCount != 1) json.WriteNumber("n"u8, facts.ChoiceCount);
        if (facts.Temperature is { } temperature && double.IsFinite(temperature)) json.WriteNumber("temperature"u8, temperature);
        if (facts.TopP is { } topP && double.IsFinite(topP)) json.WriteNumber("top_p"u8, topP);
        if (facts.Seed is { } seed) json.WriteNumber("seed"u8, seed);
        if (facts.ReasoningEffort is { } effort) WriteText(json, "reasoning_effort"u8, effort);
        if (facts.MessageCount > 0) json.WriteNumber("messages"u8, facts.MessageCount);
        if (facts.Has(RequestFeatures.Tools)) json.WriteBoolean("tools"u8, true);
        if (facts.Has(RequestFeatures.JsonSchema)) json.WriteBoolean("json_schema"u8, true);
        if (facts.Has(RequestFeatures.Images)) json.WriteBoolean("images"u8, true);
        if (facts.Has(RequestFeatures.Audio)) json.WriteBoolean("audio"u8, true);
        if (facts.Has(RequestFeatures.Files)) json.WriteBoolean("files"u8, true);
        json.WriteEndObject();
    }

    private static void WriteAttempt(Utf8JsonWriter json, Attempt attempt)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, attempt.Id);
        json.WriteNumber("number"u8, attempt.Number);
        WriteDeploymentOf(json, attempt);
        json.WriteString("outcome"u8, attempt.Outcome);
        json.WriteString("error_code"u8, attempt.Error?.Definition.Name);
        if (attempt.UpstreamStatus is { } status) json.WriteNumber("upstream_status"u8, status);
        else json.WriteNull("upstream_status"u8);
        json.WriteBoolean("sent"u8, attempt.Sent);
        json.WriteNumber("duration_ms"u8, Math.Round(attempt.Duration.TotalMilliseconds, 3));
        WriteUsage(json, attempt.Usage);
        WriteMoney(json, "cost_usd"u8, attempt.Cost.Usd);
        json.WriteEndObject();
    }

    private static void WriteDeploymentOf(Utf8JsonWriter json, Attempt attempt)
    {
        json.WriteString("deployment"u8, attempt.Deployment.Name);
        json.WriteString("provider"u8, attempt.Deployment.ProviderName);
        json.WriteString("model"u8, attempt.Deployment.UpstreamModel);
    }

    private static void WriteCharge(Utf8JsonWriter json, GatewayCall call, Attempt attempt)
    {
        var usage = Checkpoint.UsageOf(call, attempt);
        WriteUsage(json, usage);
        WriteMoney(json, "cost_usd"u8, attempt.Deployment.Prices.CostOf(usage).Usd);
    }

    private static void WriteUsage(Utf8JsonWriter json, in Usage usage)
    {
        json.WriteStartObject("usage"u8);
        json.WriteNumber("input_tokens"u8, usage.InputTokens);
        json.WriteNumber("cached_input_tokens"u8, usage.CachedInputTokens);
        json.WriteNumber("cache_write_tokens"u8, usage.CacheWriteTokens);
        json.WriteNumber("output_tokens"u8, usage.OutputTokens);
        json.WriteNumber("reasoning_tokens"u8, usage.ReasoningTokens);
        json.WriteString("basis"u8, usage.Basis.ToWire());
        json.WriteEndObject();
    }

    private static void WriteMoney(Utf8JsonWriter json, ReadOnlySpan<byte> name, decimal usd) =>
        json.WriteNumber(name, Money.Trim(usd));

    private static void WriteTimings(Utf8JsonWriter json, CallTimings timings)
    {
        json.WriteStartObject("timing_ms"u8);
        for (var phase = Phase.Auth; phase <= Phase.Total; phase++)
        {
            var ms = timings.Milliseconds(phase);
            if (ms > 0) json.WriteNumber(CallTimings.Names[(int)phase], Math.Round(ms, 3));
        }
        foreach (var own in timings.Own) json.WriteNumber(own.Key, Math.Round(own.Value.TotalMilliseconds, 3));
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, ReadOnlySpan<byte> name, string text)
    {
        if (text.Length <= LongestText) json.WriteString(name, text);
        else json.WriteString(name, text.AsSpan(0, char.IsHighSurrogate(text[LongestText - 1]) ? LongestText - 1 : LongestText));
    }
}
