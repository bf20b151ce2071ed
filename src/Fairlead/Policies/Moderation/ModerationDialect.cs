using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Policies.Moderation;

/// <summary>
/// The form of moderation requests, for what their calls have in common with all others: limits, routing, audit and usage. It is not among
/// the dialects whose calls can be jobs or lines of batches. Thread-safe.
/// </summary>
internal sealed class ModerationDialect : IRequestReader, IResponseWriter
{
    /// <summary>In audit records and lists of calls.</summary>
    public const string Name = "openai.moderations";

    public const string Path = "/v1/moderations";

    private ModerationDialect()
    {
    }

    public static Dialect Dialect { get; } = Create();

    public GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        using var document = JsonDocument.Parse(call.Body.WrittenMemory);
        Note(call, ModerationInput.Read(document.RootElement));
        return null;
    }

    /// <summary>Notes what is known of a request once it is read.</summary>
    public static void Note(GatewayCall call, ModerationInput input)
    {
        call.Facts.Model = input.Model ?? RuleModeration.Model;
        call.Facts.MessageCount = input.Inputs.Count;
        foreach (var item in input.Inputs)
        {
            foreach (var text in item.Texts) call.Facts.TextBytes += Encoding.UTF8.GetByteCount(text);
            call.Facts.ImageCount += item.Images;
            if (item.Images > 0) call.Facts.Note(RequestFeatures.Images, "input");
        }
    }

    /// <summary>The provider's response, with the id and the model of this gateway.</summary>
    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.NativeBody { Body: { } body })
            throw new InvalidOperationException($"A moderation has no body for {reply.GetType().Name}.");
        var response = Parse(body.WrittenMemory) ?? throw new InvalidOperationException("The response was checked before.");
        response["id"] = Ids.Sibling("modr-", call.GenerationId);
        response["model"] = call.Model.Id;
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        response.WriteTo(json);
    }

    /// <summary>Null if it is no response of a moderation API.</summary>
    public static JsonObject? Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            return JsonNode.Parse(body.Span) is JsonObject response && response["results"] is JsonArray ? response : null;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            return null;
        }
    }

    private static Dialect Create()
    {
        var parts = new ModerationDialect();
        return new Dialect
        {
            Name = Name,
            Path = Path,
            Operation = Operation.Moderation,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            InputField = "input",
            HasMessages = false,
            Requests = parts,
            Responses = parts,
        };
    }
}
