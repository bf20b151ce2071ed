using System.Buffers;
using System.Text;
using CsCheck;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Records;

/// <summary>What the writer of audit records writes, their reader reads back, whatever the call.</summary>
public sealed class AuditRecordRoundTripTests
{
    private static readonly Gen<Usage> Usages =
        Gen.Select(Gen.Long, Gen.Long, Gen.Long, Gen.Long, Gen.Long, Gen.Bool).Select((input, output, cached, written, reasoning, measured) =>
            new Usage(input, output)
            {
                CachedInputTokens = cached,
                CacheWriteTokens = written,
                ReasoningTokens = reasoning,
                Basis = measured ? Basis.Measured : Basis.Estimated,
            });

    private static readonly Gen<(Usage Usage, decimal Usd, string? Outcome, bool HasError)[]> Attempts =
        Gen.Select(Usages, Gen.Decimal[0m, 100_000m], Gen.Int[0, 2].Select(i => ((string?[])["complete", "failed", null])[i]), Gen.Bool).Array[0, 4];

    private static readonly Gen<string> Texts = Gen.Frequency((3, Gen.String[Gen.Char.AlphaNumeric, 1, 40]), (1, Gen.String));

    [Fact]
    public void Read_RecordOfAnyCall_ReturnsWhatTheCallHad() =>
        Gen.Select(Texts, Texts, Gen.Enum<Outcome>(), Attempts, Gen.Long[0, 10_000_000_000_000], Gen.Long)
            .Sample((model, endpoint, outcome, attempts, ticks, sequence) =>
            {
                var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 0, 0, 0, TimeSpan.Zero).AddTicks(ticks));
                var call = RecordedCalls.New(time, model: model);
                call.Endpoint = endpoint;
                foreach (var (usage, usd, word, hasError) in attempts)
                {
                    var attempt = call.Try();
                    attempt.Usage = usage;
                    attempt.Cost = new Cost(usd, usage.Basis);
                    attempt.Outcome = word;
                    if (hasError) attempt.Error = GatewayError.ModelNotFound("x");
                }
                call.Ending = new CallEnding(outcome, default, default);
                var output = new ArrayBufferWriter<byte>();
                AuditRecordWriter.WriteEnded(output, call, 200);

                var read = ShippedCall.Read(output.WrittenMemory, sequence)!;
                Assert.Equal(sequence, read.Sequence);
                Assert.Equal(AuditRecordWriter.RecordIdOf(call.GenerationId), Text(read.Id));
                Assert.Equal(time.GetUtcNow().ToUnixTimeMilliseconds(), read.At);
                Assert.Equal(call.RequestId, Text(read.RequestId));
                Assert.Equal(call.GenerationId, Text(read.GenerationId));
                Assert.Equal(call.Caller.OrganizationId, Text(read.OrganizationId));
                Assert.Equal(call.Caller.ProjectId, Text(read.ProjectId));
                Assert.Equal(call.Caller.KeyId, Text(read.KeyId));
                // Halves of surrogate pairs have no UTF-8.
                Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(model)), Text(read.Model!.Value));
                Assert.Equal(outcome.ToWire(), Text(read.Outcome));
                Assert.Equal(attempts.Length, read.Attempts.Count);
                for (var i = 0; i < attempts.Length; i++) AssertSame(call.Attempts[i], read.Attempts[i]);
            }, iter: 2000);

    /// <summary>Also metadata whose names and values look like members of a record.</summary>
    [Fact]
    public void Read_RecordWithLabels_ReturnsThem()
    {
        string[] odd = ["model", "attempts", "usage", "cost_usd", "outcome", "error_code", "class", "user", "a\"b", "ü", "\\", ""];
        Gen<string> word = Gen.Frequency((1, Gen.Int[0, odd.Length - 1].Select(i => odd[i])), (1, Texts));
        Gen.Select(word, Gen.Select(word, word).Array[0, 6], Gen.Bool).Sample((user, pairs, isLost) =>
        {
            var call = RecordedCalls.New();
            call.Facts.Label().User = user;
            foreach (var (key, value) in pairs) call.Facts.Label().Add(key, value);
            var output = new ArrayBufferWriter<byte>();
            var running = call.Try();
            if (isLost) AuditRecordWriter.WriteStarted(output, call, running);
            else AuditRecordWriter.WriteEnded(output, call.End(), 200);
            var read = ShippedCall.Read(isLost ? LostCallRecord.Of(output.WrittenSpan.ToArray(), null)! : output.WrittenMemory, 1)!;
            Assert.Equal(user.Length == 0 ? null : Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(user)), read.EndUser is { } found ? Text(found) : null);
            Assert.Equal(
                call.Facts.Labels!.Metadata.Select(pair => (Replaced(pair.Key), Replaced(pair.Value))),
                (read.Metadata ?? []).Select(pair => (Text(pair.Key), Text(pair.Value))));
            Assert.Equal(("large", isLost ? "failed" : "complete", 1), (Text(read.Model!.Value), Text(read.Outcome), read.Attempts.Count));
        }, iter: 2000);
    }

    /// <summary>What a client sends never makes a record longer than the space that is kept for one.</summary>
    [Fact]
    public void WriteEnded_LongestLabels_FitIntoTheSpaceOfACallWithoutAttempt()
    {
        foreach (var c in (ReadOnlySpan<char>)['a', '"', '\u0001', '\u20ac'])
        {
            var call = RecordedCalls.New();
            call.Facts.Label().User = new string(c, 300);
            for (var i = 0; i < 16; i++) call.Facts.Label().Add(new string(c, 60) + i, new string(c, 512));
            var output = new ArrayBufferWriter<byte>();
            AuditRecordWriter.WriteEnded(output, call.End(), 200);
            Assert.InRange(output.WrittenCount, 3000, Fairlead.Auditing.Spooling.SpoolFormat.MaxEndWithoutAttemptBytes - 4096);
            Assert.NotEmpty(ShippedCall.Read(output.WrittenMemory, 1)!.Metadata!);
        }
    }

    private static string Replaced(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void Read_RecordOfALostCall_ReturnsItsAttempts() =>
        Gen.Select(Texts, Attempts).Sample((model, attempts) =>
        {
            var call = RecordedCalls.New(model: model);
            foreach (var (usage, usd, _, _) in attempts)
            {
                var attempt = call.Try();
                attempt.Usage = usage;
                attempt.Cost = new Cost(usd, usage.Basis);
                attempt.Outcome = "failed";
            }
            var running = call.Try();
            var output = new ArrayBufferWriter<byte>();
            AuditRecordWriter.WriteStarted(output, call, running);

            var read = ShippedCall.Read(LostCallRecord.Of(output.WrittenSpan.ToArray(), null), 1)!;
            Assert.Equal(AuditRecordWriter.RecordIdOf(call.GenerationId), Text(read.Id));
            Assert.Equal(call.StartedAt.ToUnixTimeMilliseconds(), read.At);
            Assert.Equal("failed", Text(read.Outcome));
            Assert.Equal(attempts.Length + 1, read.Attempts.Count);
            for (var i = 0; i < attempts.Length; i++) AssertSame(call.Attempts[i], read.Attempts[i]);
            Assert.Equal(running.Id, Text(read.Attempts[^1].Id));
            Assert.Equal("lost", Text(read.Attempts[^1].Outcome!.Value));
            Assert.Equal("estimated", Text(read.Attempts[^1].Basis));
        }, iter: 500);

    private static void AssertSame(Attempt expected, ShippedAttempt read)
    {
        Assert.Equal(expected.Id, Text(read.Id));
        Assert.Equal(expected.Number, read.Number);
        Assert.Equal(expected.Deployment.Name, Text(read.Deployment));
        Assert.Equal(expected.Deployment.ProviderName, Text(read.Provider));
        Assert.Equal(expected.Deployment.UpstreamModel, Text(read.UpstreamModel));
        Assert.Equal(expected.Outcome, read.Outcome is { } outcome ? Text(outcome) : null);
        Assert.Equal(expected.Usage.InputTokens, read.InputTokens);
        Assert.Equal(expected.Usage.CachedInputTokens, read.CachedInputTokens);
        Assert.Equal(expected.Usage.CacheWriteTokens, read.CacheWriteTokens);
        Assert.Equal(expected.Usage.OutputTokens, read.OutputTokens);
        Assert.Equal(expected.Usage.ReasoningTokens, read.ReasoningTokens);
        Assert.Equal(expected.Usage.Basis.ToWire(), Text(read.Basis));
        Assert.Equal(Money.ToPico(expected.Cost.Usd), read.CostPicoUsd);
    }

    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);
}
