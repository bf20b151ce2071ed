using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Limits;

namespace Fairlead.Dialects;

/// <summary>
/// The gateway's own form of a limit: in <c>fairlead.limits</c>, in generations, in the endpoints that read limits and in the details of a
/// refusal. Money is in US dollars.
/// </summary>
internal static class LimitJson
{
    /// <summary>All limits of a call as an array; empty if it has none.</summary>
    public static void AppendAll(ref JsonAppender json, ICallLimits? limits)
    {
        json.Raw("["u8);
        if (limits?.Read() is { Length: > 0 } states)
        {
            for (var i = 0; i < states.Length; i++)
            {
                if (i > 0) json.Raw(","u8);
                Append(ref json, states[i]);
            }
        }
        json.Raw("]"u8);
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="state">The limit.</param>
    /// <param name="withOwner">Whether the id of what it belongs to is included, for readers that see several.</param>
    public static void Append(ref JsonAppender json, in LimitState state, bool withOwner = false)
    {
        json.Raw("{\"name\":"u8);
        json.String(state.Name.ToWire());
        json.Raw(",\"scope\":"u8);
        json.String(state.Scope.ToWire());
        if (withOwner)
        {
            json.Raw(",\"scope_id\":"u8);
            json.String(state.ScopeId);
        }
        json.Raw(",\"model\":"u8);
        json.String(state.Model);
        json.Raw(",\"class\":"u8);
        json.String(state.Class);
        json.Raw(",\"limit\":"u8);
        Amount(ref json, state.Name, state.Limit);
        if (state.Base is { } declared)
        {
            json.Raw(",\"base_limit\":"u8);
            Amount(ref json, state.Name, declared);
        }
        json.Raw(",\"used\":"u8);
        Amount(ref json, state.Name, state.Used);
        json.Raw(",\"reserved\":"u8);
        Amount(ref json, state.Name, state.Reserved);
        json.Raw(",\"remaining\":"u8);
        Amount(ref json, state.Name, state.Remaining);
        json.Raw(",\"window_seconds\":"u8);
        if (state.WindowSeconds is { } window) json.Number(window);
        else json.Raw("null"u8);
        json.Raw(",\"resets_at\":"u8);
        if (state.ResetsAt is { } at) Time(ref json, at);
        else json.Raw("null"u8);
        json.Raw("}"u8);
    }

    /// <summary>Writes a value whose property name was written before, or an item of an array.</summary>
    public static void Write(Utf8JsonWriter json, in LimitState state, bool withOwner = false) =>
        json.WriteRawValue(ToBytes(state, withOwner), skipInputValidation: true);

    public static ReadOnlySpan<byte> ToBytes(in LimitState state, bool withOwner = false)
    {
        var output = new ArrayBufferWriter<byte>(256);
        var appender = new JsonAppender(output);
        Append(ref appender, state, withOwner);
        appender.Flush();
        return output.WrittenSpan;
    }

    private static void Amount(ref JsonAppender json, LimitName name, long amount)
    {
        if (name.IsMoney()) json.Money(Money.FromPico(amount));
        else json.Number(amount);
    }

    // Rounded up to the precision that is shown, so that nobody comes too early.
    private static void Time(ref JsonAppender json, DateTimeOffset at)
    {
        var ticks = Math.Min(at.UtcTicks, DateTime.MaxValue.Ticks - TimeSpan.TicksPerMillisecond) + TimeSpan.TicksPerMillisecond - 1;
        var time = new DateTime(ticks - (ticks % TimeSpan.TicksPerMillisecond), DateTimeKind.Utc);
        Span<byte> text = stackalloc byte[32];
        time.TryFormat(text, out var written, "yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        json.Raw("\""u8);
        json.Raw(text[..written]);
        json.Raw("\""u8);
    }
}
