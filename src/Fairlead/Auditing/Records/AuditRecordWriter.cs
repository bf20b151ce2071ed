using System.Buffers;
using System.Globalization;
using System.Net;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;

namespace Fairlead.Auditing.Records;

/// <summary>
/// Writes the spool record of a call, directly from the call. No text of a prompt or a response and no secret: only the fields named
/// here are written, and what a client chose freely is truncated. The spool knows <c>node</c> and <c>sequence</c> of a record;
/// they are added when it is read.
/// </summary>
internal static class AuditRecordWriter
{
    /// <summary>Maximum characters of a text that the client chose.</summary>
    private const int MaxTextCharacters = 256;

    /// <summary>More attempts than any configuration allows; keeps a record within <see cref="SpoolFormat.MaxPayloadBytes"/>.</summary>
    private const int MaxAttempts = 64;

    /// <summary>The audit record of a call that ended with HTTP <paramref name="status"/>.</summary>
    /// <param name="output">Receives the record.</param>
    /// <param name="call">Its ending is set.</param>
    /// <param name="status">The status that its client got.</param>
    /// <param name="withOwnTimings">Whether it has the phases that a builder's pipeline recorded.</param>
    /// <param name="content">What it says about the content of the call, as JSON; empty for nothing.</param>
    public static void WriteEnded(
        IBufferWriter<byte> output, GatewayCall call, int status, bool withOwnTimings = true, ReadOnlySpan<byte> content = default)
    {
        var ending = call.Ending ?? throw new InvalidOperationException("A call is recorded after its ending is fixed.");
        var answering = call.Answering ?? (call.Attempts.Count > 0 ? call.Attempts[^1] : null);

        var json = new JsonAppender(output);
        if (call.RecordHead is { } head && ReferenceEquals(head.Attempt, answering))
        {
            json.Raw(head.Json);
        }
        else
        {
            AppendIdentity(ref json, call);
            AppendDeployment(ref json, call, answering);
            AppendParameters(ref json, call);
        }
        json.Raw(",\"prompt\":null,\"policy\":"u8);
        PolicyVerdicts.Append(ref json, call.Policy);
        AppendAttempts(ref json, call, except: null);
        AppendUsage(ref json, call.IsCached ? default : ending.Usage, ending.Cost.Usd);
        json.Raw(AuditRecordMembers.Outcome);
        json.String(ending.Outcome.ToWire());
        json.Raw(AuditRecordMembers.ErrorCode);
        json.String(ending.Error?.Definition.Name);
        if (call.Facts.Labels is { } labels) AppendLabels(ref json, labels);
        json.Raw(",\"status\":"u8);
        json.Number((long)status);
        AppendRun(ref json, call);
        if (call.IsCoalesced) json.Raw(",\"coalesced\":true"u8);
        if (call.IsCached)
        {
            json.Raw(",\"cached\":true,\"original_usage\":"u8);
            UsageJson.Append(ref json, ending.Usage);
        }
        if (call.SuppressedRefusals > 0)
        {
            json.Raw(",\"suppressed\":"u8);
            json.Number((long)call.SuppressedRefusals);
        }
        AppendTimings(ref json, call.Timings, withOwnTimings);
        json.Raw(",\"content\":"u8);
        json.Raw(content.IsEmpty ? "null"u8 : content);
        json.Raw("}"u8);
        json.Flush();
    }

    /// <summary>
    /// All that a recovery needs to write the call's audit record if the process dies: the record as it would be now, with this attempt
    /// running. Its <c>charge</c> is what the attempt would be charged.
    /// </summary>
    public static void WriteStarted(IBufferWriter<byte> output, GatewayCall call, Attempt attempt)
    {
        var json = new JsonAppender(output);
        AppendIdentity(ref json, call);
        AppendDeployment(ref json, call, attempt);
        AppendParameters(ref json, call);
        AppendAttempts(ref json, call, except: attempt);
        if (call.Facts.Labels is { } labels) AppendLabels(ref json, labels);
        AppendRun(ref json, call);
        json.Raw(",\"running\":"u8);
        json.Raw(AuditRecordMembers.Id);
        json.String(attempt.Id);
        json.Raw(AuditRecordMembers.AttemptNumber);
        json.Number((long)attempt.Number);
        AppendDeploymentOf(ref json, attempt);
        AppendCharge(ref json, call, attempt);
        json.Raw("}}"u8);
        json.Flush();
    }

    /// <summary>What the record of an attempt's start has in common with that of the call's end.</summary>
    public static ReadOnlySpan<byte> HeadOf(ReadOnlySpan<byte> started) => started[..started.IndexOf(AuditRecordMembers.Attempts)];

    /// <summary>What a running attempt would be charged now.</summary>
    public static void WriteProgress(IBufferWriter<byte> output, GatewayCall call, Attempt attempt)
    {
        var json = new JsonAppender(output);
        json.Raw(AuditRecordMembers.Id);
        json.String(attempt.Id);
        json.Raw(AuditRecordMembers.GenerationId);
        json.String(call.GenerationId);
        AppendCharge(ref json, call, attempt);
        json.Raw("}"u8);
        json.Flush();
    }

    /// <summary>Record ids are derived from the generation's, so that a record that is written twice is recognised.</summary>
    public static string RecordIdOf(string generationId) => string.Concat("aud_", Bare(generationId));

    /// <summary>The same for a further run of the generation.</summary>
    public static string RecordIdOf(string generationId, int run) =>
        run <= 1 ? RecordIdOf(generationId) : string.Create(CultureInfo.InvariantCulture, $"{RecordIdOf(generationId)}_{run}");

    private static ReadOnlySpan<char> Bare(string generationId) =>
        generationId.StartsWith("gen_", StringComparison.Ordinal) ? generationId.AsSpan(4) : generationId;

    private static void AppendIdentity(ref JsonAppender json, GatewayCall call)
    {
        var caller = call.Caller;
        json.Raw(AuditRecordMembers.Id);
        Span<char> id = stackalloc char[64];
        var bare = Bare(call.GenerationId);
        if (bare.Length <= 60 && call.Run <= 1)
        {
            "aud_".CopyTo(id);
            bare.CopyTo(id[4..]);
            json.String(id[..(4 + bare.Length)]);
        }
        else
        {
            json.String(RecordIdOf(call.GenerationId, call.Run));
        }
        json.Raw(AuditRecordMembers.At);
        json.Raw("\""u8);
        AppendTime(ref json, call.StartedAt.UtcDateTime);
        json.Raw("\""u8);
        json.Raw(AuditRecordMembers.RequestId);
        json.String(call.RequestId);
        json.Raw(AuditRecordMembers.GenerationId);
        json.String(call.GenerationId);
        json.Raw(AuditRecordMembers.OrganizationId);
        json.String(caller.OrganizationId);
        json.Raw(AuditRecordMembers.ProjectId);
        json.String(caller.ProjectId);
        json.Raw(AuditRecordMembers.KeyId);
        json.String(caller.KeyId);
        json.Raw(",\"address\":"u8);
        AppendAddress(ref json, call.Address);
        json.Raw(",\"endpoint\":"u8);
        AppendText(ref json, call.Endpoint);
        json.Raw(AuditRecordMembers.Dialect);
        json.String(call.Dialect.Name);
        json.Raw(",\"model_requested\":"u8);
        AppendText(ref json, call.ModelRequested);
    }

    // ISO 8601 in UTC, without trailing zeros in the fraction.
    private static void AppendTime(ref JsonAppender json, DateTime time)
    {
        Span<byte> text = stackalloc byte[32];
        time.TryFormat(text, out var written, "O", CultureInfo.InvariantCulture);
        text = text[..written].TrimEnd("Z"u8).TrimEnd("0"u8);
        // The seconds may have ended in zero too, but they were followed by the point.
        json.Raw(text.TrimEnd("."u8));
        json.Raw("Z"u8);
    }

    private static void AppendDeployment(ref JsonAppender json, GatewayCall call, Attempt? attempt)
    {
        // Null for a call that was refused before the catalogue knew its model.
        var model = (Catalogue.CatalogueModel?)call.Model;
        json.Raw(AuditRecordMembers.Model);
        json.String(model?.Id);
        json.Raw(AuditRecordMembers.Provider);
        json.String(attempt?.Deployment.ProviderName);
    }

    private static void AppendAddress(ref JsonAppender json, IPAddress? address)
    {
        if (address is { IsIPv4MappedToIPv6: true }) address = address.MapToIPv4();
        Span<char> text = stackalloc char[65];
        if (address is not null && address.TryFormat(text, out var written)) json.String(text[..written]);
        else json.Raw("null"u8);
    }

    private static void AppendParameters(ref JsonAppender json, GatewayCall call)
    {
        var facts = call.Facts;
        json.Raw(",\"parameters\":{\"stream\":"u8);
        json.Bool(call.Streams);
        json.Raw(AuditRecordMembers.Class);
        json.String(call.Class);
        if (call.MaxOutputTokens is { } cap)
        {
            json.Raw(",\"max_output_tokens\":"u8);
            json.Number((long)cap);
        }
        if (facts.ChoiceCount != 1)
        {
            json.Raw(",\"n\":"u8);
            json.Number((long)facts.ChoiceCount);
        }
        if (facts.Temperature is { } temperature && double.IsFinite(temperature))
        {
            json.Raw(",\"temperature\":"u8);
            json.Number(temperature);
        }
        if (facts.TopP is { } topP && double.IsFinite(topP))
        {
            json.Raw(",\"top_p\":"u8);
            json.Number(topP);
        }
        if (facts.Seed is { } seed)
        {
            json.Raw(",\"seed\":"u8);
            json.Number(seed);
        }
        if (facts.ReasoningEffort is { } effort)
        {
            json.Raw(",\"reasoning_effort\":"u8);
            AppendText(ref json, effort);
        }
        if (facts.MessageCount > 0)
        {
            json.Raw(",\"messages\":"u8);
            json.Number((long)facts.MessageCount);
        }
        if (facts.Has(RequestFeatures.Tools)) json.Raw(",\"tools\":true"u8);
        if (facts.Has(RequestFeatures.JsonSchema)) json.Raw(",\"json_schema\":true"u8);
        if (facts.Has(RequestFeatures.Images)) json.Raw(",\"images\":true"u8);
        if (facts.Has(RequestFeatures.Audio)) json.Raw(",\"audio\":true"u8);
        if (facts.Has(RequestFeatures.Files)) json.Raw(",\"files\":true"u8);
        json.Raw("}"u8);
    }

    private static void AppendLabels(ref JsonAppender json, RequestLabels labels)
    {
        if (labels.EndUser is { } user)
        {
            json.Raw(AuditRecordMembers.EndUser);
            AppendText(ref json, user);
        }
        if (labels.Metadata.Count == 0) return;
        json.Raw(AuditRecordMembers.Metadata);
        for (var i = 0; i < labels.Metadata.Count; i++)
        {
            json.Raw(i == 0 ? "{"u8 : ","u8);
            json.String(labels.Metadata[i].Key);
            json.Raw(":"u8);
            json.String(labels.Metadata[i].Value);
        }
        json.Raw("}"u8);
    }

    // Of a stored generation: another run may follow, which has a record of its own.
    private static void AppendRun(ref JsonAppender json, GatewayCall call)
    {
        if (call.RunLease is null) return;
        json.Raw(",\"run\":"u8);
        json.Number((long)call.Run);
    }

    private static void AppendAttempts(ref JsonAppender json, GatewayCall call, Attempt? except)
    {
        json.Raw(AuditRecordMembers.Attempts);
        json.Raw("["u8);
        var isFirst = true;
        for (var i = Math.Max(0, call.Attempts.Count - MaxAttempts); i < call.Attempts.Count; i++)
        {
            if (ReferenceEquals(call.Attempts[i], except)) continue;
            if (!isFirst) json.Raw(","u8);
            isFirst = false;
            AppendAttempt(ref json, call, call.Attempts[i]);
        }
        json.Raw("]"u8);
    }

    private static void AppendAttempt(ref JsonAppender json, GatewayCall call, Attempt attempt)
    {
        json.Raw(AuditRecordMembers.Id);
        json.String(attempt.Id);
        json.Raw(AuditRecordMembers.AttemptNumber);
        json.Number((long)attempt.Number);
        AppendDeploymentOf(ref json, attempt);
        json.Raw(AuditRecordMembers.Outcome);
        json.String(attempt.Outcome);
        json.Raw(AuditRecordMembers.ErrorCode);
        json.String(attempt.Error?.Definition.Name);
        json.Raw(",\"upstream_status\":"u8);
        if (attempt.UpstreamStatus is { } status) json.Number((long)status);
        else json.Raw("null"u8);
        json.Raw(",\"sent\":"u8);
        json.Bool(attempt.Sent);
        json.Raw(",\"duration_ms\":"u8);
        json.Milliseconds(attempt.Duration.TotalMilliseconds);
        if (attempt.Meter.ServiceTier is { } tier && !ServiceTierName.IsPlain(tier))
        {
            json.Raw(",\"service_tier\":"u8);
            json.String(tier);
        }
        AppendUsage(ref json, attempt.Usage, attempt.Cost.Usd);
        ChargeDifference.Append(ref json, call, attempt);
        json.Raw("}"u8);
    }

    private static void AppendDeploymentOf(ref JsonAppender json, Attempt attempt)
    {
        json.Raw(AuditRecordMembers.AttemptDeployment);
        json.String(attempt.Deployment.Name);
        json.Raw(AuditRecordMembers.Provider);
        json.String(attempt.Deployment.ProviderName);
        json.Raw(AuditRecordMembers.Model);
        json.String(attempt.Deployment.UpstreamModel);
    }

    private static void AppendCharge(ref JsonAppender json, GatewayCall call, Attempt attempt)
    {
        var usage = Checkpoint.UsageOf(call, attempt);
        AppendUsage(ref json, usage, AttemptCharge.CostOf(call, attempt, usage).Usd);
        ChargeDifference.AppendReported(ref json, call, attempt);
    }

    private static void AppendUsage(ref JsonAppender json, in Usage usage, decimal usd)
    {
        json.Raw(AuditRecordMembers.Usage);
        UsageJson.Append(ref json, usage);
        json.Raw(AuditRecordMembers.CostUsd);
        json.Money(usd);
    }

    private static void AppendTimings(ref JsonAppender json, CallTimings timings, bool withOwn)
    {
        json.Raw(",\"timing_ms\":{"u8);
        var isFirst = true;
        for (var phase = Phase.Auth; phase <= Phase.Total; phase++)
        {
            var ms = timings.Milliseconds(phase);
            if (ms > 0) AppendTiming(ref json, ref isFirst, CallTimings.Names[(int)phase], ms);
        }
        if (withOwn) foreach (var own in timings.Own) AppendTiming(ref json, ref isFirst, own.Key, own.Value.TotalMilliseconds);
        json.Raw("}"u8);
    }

    private static void AppendTiming(ref JsonAppender json, ref bool isFirst, string name, double ms)
    {
        if (!isFirst) json.Raw(","u8);
        isFirst = false;
        json.String(name);
        json.Raw(":"u8);
        json.Milliseconds(ms);
    }

    private static void AppendText(ref JsonAppender json, string text) =>
        json.String(text.Length <= MaxTextCharacters ? text
            : text.AsSpan(0, char.IsHighSurrogate(text[MaxTextCharacters - 1]) ? MaxTextCharacters - 1 : MaxTextCharacters));
}
