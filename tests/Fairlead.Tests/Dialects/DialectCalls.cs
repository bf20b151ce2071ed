using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Dialects;

/// <summary>Calls as the pipeline would hand them to a dialect, with fixed ids and time.</summary>
internal static class DialectCalls
{
    public const string GenerationId = "gen_01KAR1X2Y3Z4A5B6C7D8E9F0GH";

    public static GatewayCall Of(Dialect dialect, string body, bool extensions = true) => Of(dialect, Encoding.UTF8.GetBytes(body), extensions);

    public static GatewayCall Of(Dialect dialect, byte[] body, bool extensions = true)
    {
        var caller = new Caller
        {
            OrganizationId = "org_1",
            OrganizationName = "org",
            ProjectId = "proj_1",
            ProjectName = "project",
            KeyId = "key_1",
            KeyName = "key",
            Scopes = [.. Scopes.Default],
            Extensions = extensions,
        };
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
        var buffer = new PooledBuffer();
        buffer.Write(body);
        return new GatewayCall("req_1", GenerationId, dialect, caller, time)
        {
            Body = buffer,
            Model = new CatalogueModel { Id = "fast", OwnedBy = "test" },
        };
    }

    /// <summary>A call that was read without an error and has a response from a deployment.</summary>
    public static GatewayCall Answered(Dialect dialect, string body, bool extensions = true)
    {
        var call = Of(dialect, body, extensions);
        Assert.Null(dialect.Requests.Read(call, new RequestBounds()));
        var deployment = new Deployment { Name = "openai/gpt-x", ProviderName = "openai", UpstreamModel = "gpt-x" };
        var attempt = new Attempt("att_1", 1, deployment) { Outcome = "complete", Duration = TimeSpan.FromMilliseconds(12.5) };
        call.Attempts.Add(attempt);
        call.Answering = attempt;
        return call;
    }

    public static void End(this GatewayCall call, Outcome outcome = Outcome.Complete, GatewayError? error = null)
    {
        var usage = new Usage(11, 7) { CachedInputTokens = 4, ReasoningTokens = 2 };
        call.Answering?.Usage = usage;
        call.Answering?.Cost = new Cost(0.000123m, Basis.Measured);
        call.Ending = new CallEnding(outcome, usage, new Cost(0.000123m, Basis.Measured)) { Error = error };
    }

    public static string Reply(Dialect dialect, GatewayCall call, GatewayReply reply)
    {
        var output = new ArrayBufferWriter<byte>();
        dialect.Responses.Write(call, reply, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    public static string Upstream(Dialect dialect, GatewayCall call, string model, NativeBodyOptions options = default)
    {
        var output = new ArrayBufferWriter<byte>();
        dialect.Native!.WriteBody(call, model, options, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>Scans a provider's whole body. Without facts, the request has one input.</summary>
    public static bool Scan(Dialect dialect, ReadOnlySpan<byte> body, OutputMeter meter, RequestFacts? facts = null) =>
        dialect.Native!.TryScan(facts ?? new RequestFacts { MessageCount = 1 }, body, meter, out _);

    public static string Stream(Dialect dialect, GatewayCall call, IEnumerable<GenerationEvent> events, Action end, DialectStreamWriter? writer = null)
    {
        var output = new ArrayBufferWriter<byte>();
        writer ??= dialect.Streams!.CreateWriter(call);
        using var batch = new EventBatch();
        foreach (var generationEvent in events)
        {
            batch.Clear();
            batch.Add(generationEvent);
            writer.Write(batch, output);
        }
        end();
        writer.WriteEnd(output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>Events of a native stream scanned and written, a batch for every element.</summary>
    public static string NativeStream(Dialect dialect, GatewayCall call, IEnumerable<IEnumerable<string>> batches, Action end, DialectStreamWriter? writer = null)
    {
        var output = new ArrayBufferWriter<byte>();
        writer ??= dialect.Streams!.CreateWriter(call);
        var scanner = dialect.Native!.Streams!.CreateScanner(call.Answering!.Meter);
        using var batch = new EventBatch();
        foreach (var events in batches)
        {
            batch.Clear();
            foreach (var data in events)
            {
                var bytes = Encoding.UTF8.GetBytes(data);
                if (scanner.Scan(default, bytes, out _) is { } kind) batch.AddNative(bytes, kind.Kind, kind.Traits);
            }
            writer.Write(batch, output);
        }
        end();
        writer.WriteEnd(output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>The JSON of every data line; the end mark is left out.</summary>
    public static List<JsonObject> Events(string stream) =>
    [
        .. stream.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(block => block.Split('\n').Single(line => line.StartsWith("data: ", StringComparison.Ordinal))[6..])
            .Where(data => data != "[DONE]")
            .Select(data => JsonNode.Parse(data)!.AsObject()),
    ];
}
