using System.Buffers;
using System.Text.Json;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Token counting at a provider with Anthropic's API. It has no streams.</summary>
internal sealed class CountTokensWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/messages/count_tokens";

    public override ApiFamily Family => ApiFamily.Anthropic;

    public override string UpstreamPath => Path;

    /// <summary>The count in a provider's response; null when the body has none.</summary>
    public static long? ReadCount(ReadOnlySpan<byte> body)
    {
        try
        {
            var json = new Utf8JsonReader(body);
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return null;
            long? count = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isCount = json.ValueTextEquals("input_tokens"u8);
                json.Read();
                if (isCount && json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var tokens) && tokens >= 0) count = tokens;
                else json.Skip();
            }
            json.Read();
            return count;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        MessagesUpstreamBody.Write(call, upstreamModel, output);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired)
    {
        repaired = null;
        return ReadCount(body) is not null;
    }
}
