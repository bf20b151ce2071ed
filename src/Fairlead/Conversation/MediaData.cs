using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Fairlead.Conversation;

/// <summary>
/// Base64 of inline media, as UTF-8. Of a request it is a piece of the body, so that a large picture is not copied, and lives as
/// long as the call. Immutable.
/// </summary>
internal sealed class MediaData : IEquatable<MediaData>
{
    private static readonly byte[] DataScheme = "data:"u8.ToArray();

    /// <param name="base64">The base64 text; it must not change while this is in use.</param>
    public MediaData(ReadOnlyMemory<byte> base64) => Base64 = base64;

    /// <summary>The base64 text.</summary>
    public ReadOnlyMemory<byte> Base64 { get; }

    /// <summary>Length of the base64 text.</summary>
    public int Length => Base64.Length;

    /// <summary>The same of a string.</summary>
    [return: NotNullIfNotNull(nameof(base64))]
    public static implicit operator MediaData?(string? base64) => base64 is null ? null : new MediaData(Encoding.UTF8.GetBytes(base64));

    public bool Equals(MediaData? other) => other is not null && Base64.Span.SequenceEqual(other.Base64.Span);

    public override bool Equals(object? obj) => Equals(obj as MediaData);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(Base64.Span[..Math.Min(64, Base64.Length)]);
        hash.Add(Base64.Length);
        return hash.ToHashCode();
    }

    /// <summary>As a string: twice the memory.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Base64.Span);

    /// <summary>
    /// The text of <paramref name="value"/>, a JSON string; a piece of <paramref name="source"/> if it is there without escapes.
    /// </summary>
    internal static MediaData Of(JsonElement value, ReadOnlyMemory<byte> source)
    {
        var raw = JsonMarshal.GetRawUtf8Value(value);
        if (raw.Contains((byte)'\\'))
        {
            // Some encoders write every slash with an escape.
            var json = new Utf8JsonReader(raw);
            json.Read();
            var plain = new byte[raw.Length];
            return new MediaData(plain.AsMemory(0, json.CopyString(plain)));
        }
        raw = raw[1..^1];
        return source.Span.Overlaps(raw, out var offset) && offset >= 0 && offset + raw.Length <= source.Length
            ? new MediaData(source.Slice(offset, raw.Length))
            : new MediaData(raw.ToArray());
    }

    /// <summary>Type and content of a data URL; null when <paramref name="value"/>, a JSON string, is not a data URL.</summary>
    internal static (string MediaType, MediaData Data)? OfDataUrl(JsonElement value, ReadOnlyMemory<byte> source)
    {
        // Before anything is copied: most addresses are not data URLs.
        var raw = JsonMarshal.GetRawUtf8Value(value);
        if (raw.Length < DataScheme.Length + 2 || !Ascii.EqualsIgnoreCase(raw.Slice(1, DataScheme.Length), DataScheme)) return null;
        var whole = Of(value, source).Base64;
        var comma = whole.Span.IndexOf((byte)',');
        if (comma < DataScheme.Length) return null;
        var type = whole.Span[DataScheme.Length..comma];
        var semicolon = type.IndexOf((byte)';');
        return (Encoding.UTF8.GetString(semicolon < 0 ? type : type[..semicolon]), new MediaData(whole[(comma + 1)..]));
    }
}
