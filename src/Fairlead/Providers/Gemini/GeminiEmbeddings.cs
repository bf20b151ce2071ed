using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Providers.Gemini;

/// <summary><c>batchEmbedContents</c> and its response.</summary>
internal static class GeminiEmbeddings
{
    /// <exception cref="GatewayErrorException">Inputs are token ids, which depend on another model's tokenizer.</exception>
    public static void Write(EmbeddingsRequest request, in GeminiModel model, Action<string, string> warn, IBufferWriter<byte> output)
    {
        if (request.EndUser is not null) warn("parameter_ignored", "The end-user id is not sent to Gemini models.");
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        json.WriteStartObject();
        json.WriteStartArray("requests");
        foreach (var input in request.Inputs)
        {
            if (input.Text is not { } text)
            {
                throw new GatewayErrorException(GatewayError.Unsupported("input",
                    "Gemini models accept text only: token ids depend on the tokenizer of another model."));
            }
            json.WriteStartObject();
            json.WriteString("model", $"models/{model.Id}");
            json.WriteStartObject("content");
            json.WriteStartArray("parts");
            json.WriteStartObject();
            json.WriteString("text", text);
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            if (request.Dimensions is { } dimensions) json.WriteNumber("outputDimensionality", dimensions);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The vectors, or null when the body is not a response to <paramref name="request"/>.</summary>
    public static EmbeddingsResponse? Read(ReadOnlyMemory<byte> body, EmbeddingsRequest request)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            var list = document.RootElement.GetProperty("embeddings");
            if (list.GetArrayLength() != request.Inputs.Count) return null;
            var vectors = new List<ReadOnlyMemory<float>>(request.Inputs.Count);
            foreach (var embedding in list.EnumerateArray())
            {
                var values = embedding.GetProperty("values");
                var vector = new float[values.GetArrayLength()];
                var i = 0;
                foreach (var value in values.EnumerateArray()) vector[i++] = value.GetSingle();
                // Only vectors of the model's own length are normalized; shortened ones are not.
                if (request.Dimensions is not null) Normalise(vector);
                vectors.Add(vector);
            }
            return new EmbeddingsResponse(vectors);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return null;
        }
    }

    private static void Normalise(float[] vector)
    {
        var sum = 0.0;
        foreach (var value in vector) sum += (double)value * value;
        if (sum <= 0) return;
        var scale = 1 / Math.Sqrt(sum);
        for (var i = 0; i < vector.Length; i++) vector[i] = (float)(vector[i] * scale);
    }
}
