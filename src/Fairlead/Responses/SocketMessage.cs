using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Responses;

/// <summary>Turns a message <c>response.create</c> into the body of a request.</summary>
internal static class SocketMessage
{
    private const int InitialBytes = 4096;

    /// <summary>
    /// The members of the message as they came, without <c>type</c> and <c>stream</c>, which belong to the transport; a response is always
    /// streamed.
    /// </summary>
    /// <param name="message">The message as it came.</param>
    /// <param name="memory">Counts the body.</param>
    /// <returns>The body, which the caller disposes, or the error.</returns>
    public static (PooledBuffer? Body, GatewayError? Error) ToRequest(ReadOnlySpan<byte> message, MemoryBudget memory)
    {
        PooledBuffer? body = null;
        try
        {
            var json = new Utf8JsonReader(message, new JsonReaderOptions { MaxDepth = 1024 });
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                return (null, new GatewayError(ErrorCode.MalformedJson, "A message is a JSON object."));
            }
            body = new PooledBuffer(InitialBytes, memory) { Expected = message.Length + 32 };
            body.Write("{"u8);
            var isCreate = false;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var start = (int)json.TokenStartIndex;
                var isType = json.ValueTextEquals("type"u8);
                var isKept = !isType && !json.ValueTextEquals("stream"u8);
                json.Read();
                if (isType) isCreate = json.TokenType == JsonTokenType.String && json.ValueTextEquals("response.create"u8);
                json.Skip();
                if (!isKept) continue;
                body.Write(message[start..(int)json.BytesConsumed]);
                body.Write(","u8);
            }
            // Throws if anything follows the object.
            json.Read();
            if (isCreate)
            {
                body.Write("\"stream\":true}"u8);
                return (body, null);
            }
            body.Dispose();
            return (null, WrongType());
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            body?.Dispose();
            return (null, new GatewayError(ErrorCode.MalformedJson, "The message is not valid JSON."));
        }
        catch (MemoryExhaustedException exhausted)
        {
            body?.Dispose();
            return (null, exhausted.Error);
        }
    }

    private static GatewayError WrongType() =>
        GatewayError.Invalid("type", "Invalid value for 'type': the type of a message must be 'response.create'.") with
        {
            OpenAiCode = "invalid_value",
        };
}
