using System.Text.Json;
using Fairlead.Ledger;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Usage in Anthropic's own numbers. Later reports override earlier ones member by member: they are cumulative, and a report names only
/// what it knows. Here <c>input_tokens</c> excludes both cache counts; <see cref="ToUsage"/> adds them up.
/// </summary>
internal struct MessagesUsage
{
    private long _input;
    private long _cacheWrite;
    private long _cacheRead;
    private long _longWrite;
    private long _shortWrite;
    private long _output;
    private long _thinking;

    /// <summary>Takes in the usage object at which <paramref name="json"/> stands; ends on its last token. Anything unreadable counts as not said.</summary>
    public void Read(ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartObject) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("input_tokens"u8)) Number(ref json, ref _input);
            else if (json.ValueTextEquals("output_tokens"u8)) Number(ref json, ref _output);
            else if (json.ValueTextEquals("cache_creation_input_tokens"u8)) Number(ref json, ref _cacheWrite);
            else if (json.ValueTextEquals("cache_read_input_tokens"u8)) Number(ref json, ref _cacheRead);
            else if (json.ValueTextEquals("cache_creation"u8)) Inner(ref json, "ephemeral_1h_input_tokens"u8, ref _longWrite, "ephemeral_5m_input_tokens"u8, ref _shortWrite);
            else if (json.ValueTextEquals("output_tokens_details"u8)) Inner(ref json, "thinking_tokens"u8, ref _thinking, default, ref _thinking);
            else Pass(ref json);
        }
    }

    public readonly Usage ToUsage()
    {
        // The split by lifetime is sometimes all there is.
        var written = Math.Max(_cacheWrite, _longWrite + _shortWrite);
        return new Usage(_input + written + _cacheRead, _output)
        {
            CachedInputTokens = _cacheRead,
            CacheWriteTokens = written,
            LongCacheWriteTokens = _longWrite,
            ReasoningTokens = Math.Min(_thinking, _output),
            Basis = Basis.Measured,
        };
    }

    private static void Inner(ref Utf8JsonReader json, ReadOnlySpan<byte> first, ref long firstValue, ReadOnlySpan<byte> second, ref long secondValue)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals(first)) Number(ref json, ref firstValue);
            else if (!second.IsEmpty && json.ValueTextEquals(second)) Number(ref json, ref secondValue);
            else Pass(ref json);
        }
    }

    private static void Number(ref Utf8JsonReader json, ref long value)
    {
        json.Read();
        // Bounded so that no sum of hostile numbers overflows.
        if (json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var number) && number is >= 0 and <= int.MaxValue) value = number;
        else json.Skip();
    }

    private static void Pass(ref Utf8JsonReader json)
    {
        json.Read();
        json.Skip();
    }
}
