using System.Globalization;

namespace Fairlead.Limits.Redis;

/// <summary>What a script of <see cref="RateScripts"/> returned. Immutable.</summary>
/// <param name="IsTaken">Whether everything was taken.</param>
/// <param name="Values">
/// For each rate what is missing until it is full, in amounts × microseconds of a minute; then for each concurrency the calls of all nodes.
/// </param>
internal sealed record RateReply(bool IsTaken, Int128[] Values)
{
    /// <summary>Higher for scripts that were sent later, which Redis ran later.</summary>
    public long Sequence { get; init; }

    /// <exception cref="FormatException">It is not such a reply.</exception>
    public static RateReply Parse(ReadOnlySpan<byte> text, int count)
    {
        if (text.Length < 1 || text[0] is not ((byte)'0' or (byte)'1')) throw new FormatException("Not a reply of the script.");
        var values = new Int128[count];
        var rest = text[1..];
        for (var i = 0; i < count; i++)
        {
            if (rest.IsEmpty || rest[0] != ' ') throw new FormatException("The script's reply is too short.");
            rest = rest[1..];
            var end = rest.IndexOf((byte)' ');
            if (end < 0) end = rest.Length;
            values[i] = Int128.Parse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture);
            rest = rest[end..];
        }
        return new RateReply(text[0] == (byte)'1', values);
    }
}
