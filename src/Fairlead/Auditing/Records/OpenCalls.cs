using System.Text;
using System.Text.Json;
using Fairlead.Auditing.Spooling;

namespace Fairlead.Auditing.Records;

/// <summary>
/// The calls of a spool that have started and not ended, found by reading its records in order. What is still open at the end of the spool
/// of a killed process is lost: its record is written here, from the last attempt's last checkpoint. Memory is proportional to the number
/// of calls open at once. Not thread-safe.
/// </summary>
internal sealed class OpenCalls
{
    // Checkpoints whose start comes later (a copied one): the maximum number of concurrent calls.
    private const int MaxEarlyCheckpoints = 65_536;

    private readonly Dictionary<string, OpenCall> _calls = [];
    private readonly Dictionary<string, byte[]> _early = [];

    // Calls that ended here and started in a deleted segment: a copy of their start may still follow, written before the end was read.
    private readonly HashSet<string> _endedWithoutStart = [];

    /// <summary>Whether the spool is this process's own, where each call's start is read before any copy of it.</summary>
    public bool IsLive { get; set; }

    /// <summary>Adds one record. An invalid one is skipped and returns false.</summary>
    public bool Observe(SpoolRecordType type, ReadOnlySpan<byte> payload, long segment)
    {
        try
        {
            switch (type)
            {
                case SpoolRecordType.AttemptStarted:
                case SpoolRecordType.AttemptCarried:
                    if (IdOf(payload) is not { } started) return false;
                    // A copy of a call that has ended meanwhile must not open it again.
                    if (type == SpoolRecordType.AttemptCarried
                        && (IsLive ? !_calls.ContainsKey(started) : _endedWithoutStart.Contains(started)))
                    {
                        return true;
                    }

                    _calls[started] = new OpenCall(payload.ToArray(), segment)
                    {
                        // The copy of a start may come after checkpoints that were written since.
                        Progress = _early.Remove(started, out var early) ? early : _calls.TryGetValue(started, out var known)
                            ? known.Progress : null,
                    };
                    return true;
                case SpoolRecordType.AttemptProgressed:
                    if (IdOf(payload) is not { } progressed) return false;
                    if (_calls.TryGetValue(progressed, out var call)) call.Progress = Later(call.Progress, payload);
                    else if (!IsLive && (_early.Count < MaxEarlyCheckpoints || _early.ContainsKey(progressed)))
                        _early[progressed] = Later(_early.GetValueOrDefault(progressed), payload);
                    return true;
                case SpoolRecordType.CallEnded:
                case SpoolRecordType.CallEndedWithContent:
                case SpoolRecordType.CallRecovered:
                    if (IdOf(payload) is not { } ended) return false;
                    if (!_calls.Remove(ended) && !IsLive && _endedWithoutStart.Count < MaxEarlyCheckpoints) _endedWithoutStart.Add(ended);
                    _early.Remove(ended);
                    return true;
                case SpoolRecordType.AdministrationRecorded:
                    return true;
                default:
                    return false;
            }
        }
        catch (JsonException)
        {
            return false;
        }
    }

    public int Count => _calls.Count;

    /// <summary>
    /// Copies of what is known of the calls that started in <paramref name="segment"/> or before, to be appended again so that the segment
    /// can be deleted.
    /// </summary>
    public List<(string GenerationId, byte[] Start, byte[]? Progress)> StartedUpTo(long segment)
    {
        var found = new List<(string, byte[], byte[]?)>();
        foreach (var (id, call) in _calls)
        {
            if (call.Segment <= segment) found.Add((id, call.Start, call.Progress));
        }
        return found;
    }

    /// <summary>Notes that the copy of a call's start is in <paramref name="segment"/>.</summary>
    public void Moved(string generationId, long segment)
    {
        if (_calls.TryGetValue(generationId, out var call)) call.Segment = segment;
    }

    /// <summary>
    /// The audit records of all open calls, as if each had ended now. The outcome is <c>failed</c> with <c>internal_error</c> and no
    /// status: neither the caller nor the provider ended the call, and it is unknown how much of the response was sent.
    /// </summary>
    public List<byte[]> Lost()
    {
        var records = new List<byte[]>(_calls.Count);
        foreach (var call in _calls.Values)
        {
            if (LostCallRecord.Of(call.Start, call.Progress) is { } record) records.Add(record);
        }
        return records;
    }

    public void Clear()
    {
        _calls.Clear();
        _endedWithoutStart.Clear();
        _early.Clear();
    }

    private static byte[] Later(byte[]? known, ReadOnlySpan<byte> payload)
    {
        if (known is null) return payload.ToArray();
        // Checkpoints only grow; a copied one may come after a later one.
        return SameAttempt(known, payload) && Made(known) > Made(payload) ? known : payload.ToArray();
    }

    private static bool SameAttempt(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right) =>
        string.Equals(Text(left, "id"u8), Text(right, "id"u8), StringComparison.Ordinal);

    private static long Made(ReadOnlySpan<byte> payload)
    {
        var reader = new Utf8JsonReader(payload);
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("output_tokens"u8) && reader.Read()
                && reader.TryGetInt64(out var tokens))
            {
                return tokens;
            }
        }
        return 0;
    }

    // In the form of AuditRecordWriter, else by parsing: a quote within a JSON string is escaped, so a client's text cannot look like the
    // name.
    private static string? IdOf(ReadOnlySpan<byte> payload)
    {
        var name = "\"generation_id\":\""u8;
        var at = payload.IndexOf(name);
        if (at > 0)
        {
            var rest = payload[(at + name.Length)..];
            var end = rest.IndexOfAny((byte)'"', (byte)'\\');
            if (end > 0 && rest[end] == '"') return Encoding.UTF8.GetString(rest[..end]);
        }
        return Text(payload, "generation_id"u8);
    }

    private static string? Text(ReadOnlySpan<byte> payload, ReadOnlySpan<byte> name)
    {
        var reader = new Utf8JsonReader(payload);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var wanted = reader.ValueTextEquals(name);
            if (!reader.Read()) return null;
            if (wanted) return reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
            reader.Skip();
        }
        return null;
    }

    private sealed class OpenCall(byte[] start, long segment)
    {
        public byte[] Start { get; } = start;

        public long Segment { get; set; } = segment;

        public byte[]? Progress { get; set; }
    }
}
