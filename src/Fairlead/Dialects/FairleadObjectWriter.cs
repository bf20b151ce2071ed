using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;

namespace Fairlead.Dialects;

/// <summary>
/// Writes the <c>fairlead</c> object that every dialect adds to its responses. The same form everywhere; its names are part of the public
/// contract.
/// </summary>
internal static class FairleadObjectWriter
{
    /// <summary>What is known when a response starts, as one JSON object: for the first event of a stream.</summary>
    public static void WriteStart(GatewayCall call, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        AppendStart(ref json, call);
        json.Flush();
    }

    /// <summary>
    /// Everything, as one JSON object: for a whole response and the last event of a stream. <see cref="GatewayCall.Ending"/> is set.
    /// </summary>
    public static void WriteFinal(GatewayCall call, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        AppendFinal(ref json, call);
        json.Flush();
    }

    public static void AppendStart(ref JsonAppender json, GatewayCall call)
    {
        WriteStart(ref json, call);
        json.Raw("}"u8);
    }

    public static void AppendFinal(ref JsonAppender json, GatewayCall call)
    {
        WriteStart(ref json, call);
        var ending = call.Ending ?? new CallEnding(Outcome.Failed, default, default);
        json.Raw(",\"outcome\":"u8);
        json.String(ending.Outcome.ToWire());
        json.Raw(",\"usage\":"u8);
        // What was used for a response of the cache was used earlier.
        UsageJson.Append(ref json, call.IsCached ? default : ending.Usage);
        if (call.IsCached)
        {
            json.Raw(",\"original_usage\":"u8);
            UsageJson.Append(ref json, ending.Usage);
        }
        json.Raw(",\"cost\":{\"usd\":"u8);
        json.Number(ending.Cost.Usd);
        json.Raw(",\"basis\":"u8);
        json.String(ending.Cost.Basis.ToWire());
        json.Raw("},\"timing_ms\":{"u8);
        Timing(ref json, call.Timings);
        json.Raw("},\"quality\":{"u8);
        Quality(ref json, call);
        json.Raw("},\"limits\":"u8);
        LimitJson.AppendAll(ref json, call.Limits);
        json.Raw(",\"warnings\":["u8);
        var warnings = call.Warnings;
        for (var i = 0; i < warnings.Count; i++)
        {
            json.Raw(i == 0 ? "{\"code\":"u8 : ",{\"code\":"u8);
            json.String(warnings[i].Code);
            json.Raw(",\"message\":"u8);
            json.String(warnings[i].Message);
            json.Raw("}"u8);
        }
        json.Raw("],\"attempts\":["u8);
        for (var i = 0; i < call.Attempts.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            AppendAttempt(ref json, call.Attempts[i]);
        }
        if (call.Violations is { Count: > 0 } violations)
        {
            for (var i = 0; i < violations.Count; i++)
            {
                json.Raw(i == 0 ? "],\"violations\":[{\"pointer\":"u8 : ",{\"pointer\":"u8);
                json.String(violations[i].Pointer);
                json.Raw(",\"detail\":"u8);
                json.String(violations[i].Detail);
                json.Raw("}"u8);
            }
        }
        json.Raw(call.IsCoalesced ? "],\"coalesced\":true"u8 : "],\"coalesced\":false"u8);
        json.Raw(call.IsCached ? ",\"cached\":true}"u8 : ",\"cached\":false}"u8);
    }

    /// <summary>OpenAI's value for a finish reason, which Fairlead's own objects use too.</summary>
    public static string Word(FinishReason reason) => reason switch
    {
        FinishReason.Length => "length",
        FinishReason.ToolCalls => "tool_calls",
        FinishReason.ContentFilter => "content_filter",
        _ => "stop",
    };

    private static void WriteStart(ref JsonAppender json, GatewayCall call)
    {
        var deployment = call.Answering?.Deployment;
        json.Raw("{\"generation_id\":"u8);
        json.String(call.GenerationId);
        json.Raw(",\"model_requested\":"u8);
        json.String(call.ModelRequested);
        json.Raw(",\"model\":"u8);
        json.String(call.Model is null ? null : call.ReportedModel);
        json.Raw(",\"provider\":"u8);
        json.String(deployment?.ProviderName);
        json.Raw(",\"deployment\":"u8);
        json.String(deployment?.Name);
        json.Raw(",\"api_version\":"u8);
        json.String(call.Caller.ApiVersion);
        json.Raw(",\"prompt\":null,\"parameters\":{"u8);
        Parameters(ref json, call);
        json.Raw("}"u8);
    }

    private static void Parameters(ref JsonAppender json, GatewayCall call)
    {
        var facts = call.Facts;
        var first = true;
        if (facts.Temperature is { } temperature)
        {
            Name(ref json, ref first, "\"temperature\":"u8);
            json.Number(temperature);
        }
        if (facts.TopP is { } topP)
        {
            Name(ref json, ref first, "\"top_p\":"u8);
            json.Number(topP);
        }
        if (call.MaxOutputTokens is { } cap)
        {
            Name(ref json, ref first, "\"max_output_tokens\":"u8);
            json.Number((long)cap);
        }
        if (facts.Seed is { } seed)
        {
            Name(ref json, ref first, "\"seed\":"u8);
            json.Number(seed);
        }
        if (facts.ReasoningEffort is { } effort)
        {
            Name(ref json, ref first, "\"reasoning_effort\":"u8);
            json.String(effort);
        }
        if (facts.ChoiceCount != 1)
        {
            Name(ref json, ref first, "\"n\":"u8);
            json.Number((long)facts.ChoiceCount);
        }
    }

    private static void Name(ref JsonAppender json, ref bool first, ReadOnlySpan<byte> name)
    {
        if (!first) json.Raw(","u8);
        first = false;
        json.Raw(name);
    }

    private static void Timing(ref JsonAppender json, CallTimings timings)
    {
        json.Raw("\"auth\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Auth));
        json.Raw(",\"validate\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Validate));
        json.Raw(",\"policy\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Policy));
        json.Raw(",\"limit\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Limit));
        json.Raw(",\"queue\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Queue));
        json.Raw(",\"coalesce\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Coalesce));
        json.Raw(",\"connect\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Connect));
        json.Raw(",\"first_token\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.FirstToken));
        json.Raw(",\"generate\":"u8);
        json.Milliseconds(timings.Milliseconds(Phase.Generate));
        json.Raw(",\"total\":"u8);
        // The response is written before the call ends, so the total is the time until now unless it is already fixed.
        var total = timings.Milliseconds(Phase.Total);
        json.Milliseconds(total > 0 ? total : timings.Elapsed.TotalMilliseconds);
        foreach (var own in timings.Own)
        {
            json.Raw(","u8);
            json.String(own.Key);
            json.Raw(":"u8);
            json.Milliseconds(own.Value.TotalMilliseconds);
        }
    }

    private static void Quality(ref JsonAppender json, GatewayCall call)
    {
        var meter = call.Answering?.Meter;
        json.Raw("\"finish_reason\":"u8);
        json.String(meter?.FinishReason is { } reason ? Word(reason) : null);
        json.Raw(",\"schema_valid\":"u8);
        json.Bool(call.Quality.SchemaValid);
        json.Raw(",\"mean_logprob\":"u8);
        json.Number(meter?.MeanLogprob);
        json.Raw(",\"policy\":"u8);
        PolicyVerdicts.Append(ref json, call.Policy);
        foreach (var own in call.Quality.Own)
        {
            json.Raw(","u8);
            json.String(own.Key);
            json.Raw(":"u8);
            json.Number((double?)own.Value);
        }
    }

    /// <summary>One entry of <c>attempts</c>.</summary>
    public static void AppendAttempt(ref JsonAppender json, Attempt attempt)
    {
        json.Raw("{\"deployment\":"u8);
        json.String(attempt.Deployment.Name);
        json.Raw(",\"provider\":"u8);
        json.String(attempt.Deployment.ProviderName);
        json.Raw(",\"model\":"u8);
        json.String(attempt.Deployment.UpstreamModel);
        if (attempt.Reason is { } reason)
        {
            json.Raw(",\"reason\":"u8);
            json.String(reason);
        }
        json.Raw(",\"outcome\":"u8);
        json.String(attempt.Outcome);
        json.Raw(",\"error_code\":"u8);
        json.String(attempt.Error?.Definition.Name);
        json.Raw(",\"duration_ms\":"u8);
        json.Milliseconds(attempt.Duration.TotalMilliseconds);
        json.Raw(",\"usage\":"u8);
        UsageJson.Append(ref json, attempt.Usage);
        json.Raw(",\"cost_usd\":"u8);
        json.Number(attempt.Cost.Usd);
        json.Raw("}"u8);
    }
}
