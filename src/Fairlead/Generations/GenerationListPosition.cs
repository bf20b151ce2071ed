using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Fairlead.Conversation;

namespace Fairlead.Generations;

/// <summary>
/// Where a list of generations continues: in the stored ones and in the audit records, each by its own order. Immutable.
/// </summary>
/// <param name="At">Time of the last entry, for the source that has had none; null before the first.</param>
/// <param name="Stored">Id of the last stored generation that was seen; null for none.</param>
/// <param name="Audited">Cursor of the last audit record that was seen; null for none.</param>
internal sealed record GenerationListPosition(DateTimeOffset? At, string? Stored, string? Audited)
{
    public static readonly GenerationListPosition Start = new(null, null, null);

    /// <summary>The year 9000.</summary>
    private const long MaxMilliseconds = 221_845_392_000_000;

    private static readonly TimeSpan Precision = TimeSpan.FromMilliseconds(1);

    /// <summary>Stored generations continue before this id; null for all.</summary>
    public string? StoredBefore => Stored ?? (At is { } at ? Ids.FirstAt("gen_", at + Precision) : null);

    /// <summary>Audit records continue before this time; null if a cursor or nothing says where.</summary>
    public DateTimeOffset? AuditedBefore => Audited is null ? At + Precision : null;

    public override string ToString() => Base64Url.EncodeToString(Encoding.ASCII.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"{At?.ToUnixTimeMilliseconds()}.{Stored}.{Audited}")));

    /// <summary>Null if the text is no position.</summary>
    public static GenerationListPosition? Parse(string text)
    {
        if (text.Length > 256 || !Base64Url.IsValid(text)) return null;
        var parts = Encoding.ASCII.GetString(Base64Url.DecodeFromChars(text)).Split('.');
        if (parts.Length != 3) return null;
        DateTimeOffset? at = null;
        if (parts[0].Length > 0)
        {
            if (!long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var ms) || ms > MaxMilliseconds) return null;
            at = DateTimeOffset.FromUnixTimeMilliseconds(ms);
        }
        if (parts[1].Length > 0 && Ids.TimeOf("gen_", parts[1]) is null) return null;
        return new GenerationListPosition(at, parts[1].Length > 0 ? parts[1] : null, parts[2].Length > 0 ? parts[2] : null);
    }
}
