using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Remote;

/// <summary>
/// Verdicts of judges by the hash of the text, so that a text is judged once: a conversation is sent again with each turn. Two halves: when
/// the newer one is full, the older one goes. Thread-safe.
/// </summary>
internal sealed class VerdictCache(TimeProvider time)
{
    /// <summary>How long a verdict counts. A judge may learn.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(10);

    /// <summary>Maximum verdicts of a half.</summary>
    public const int HalfSize = 10_000;

    private volatile ConcurrentDictionary<string, Known> _newer = new(StringComparer.Ordinal);
    private volatile ConcurrentDictionary<string, Known> _older = new(StringComparer.Ordinal);

    /// <summary>The key of a text for a judge.</summary>
    public static string KeyOf(PolicyRule rule, string text)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{rule.Url}\n{rule.Model}\n"));
        hash.AppendData(Encoding.UTF8.GetBytes(text));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public JudgeVerdict? Find(string key) =>
        (_newer.TryGetValue(key, out var known) || _older.TryGetValue(key, out known)) && time.GetElapsedTime(known.At) < Lifetime
            ? known.Verdict : null;

    /// <summary>Keeps a verdict. That there was none is not kept.</summary>
    public void Keep(string key, JudgeVerdict verdict)
    {
        if (verdict == JudgeVerdict.Unavailable) return;
        if (_newer.Count >= HalfSize) (_older, _newer) = (_newer, new ConcurrentDictionary<string, Known>(StringComparer.Ordinal));
        _newer[key] = new Known(verdict, time.GetTimestamp());
    }

    private readonly record struct Known(JudgeVerdict Verdict, long At);
}
