using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.StructuredOutput;

/// <summary>What a request asks for beyond an output of a schema: that the gateway itself holds the output against it.</summary>
/// <param name="Schema">The schema, ready to check with.</param>
/// <param name="Repairs">Whether an output that does not satisfy it is asked for once more.</param>
internal sealed record StructuredWish(OutputSchema Schema, bool Repairs)
{
    /// <summary>Notes what a request of a foreign dialect asks for by <c>fairlead.structured</c>.</summary>
    /// <param name="call">The call, read without a fault.</param>
    /// <param name="field">The dialect's field that holds the schema.</param>
    public static GatewayError? Note(GatewayCall call, string field)
    {
        var facts = call.Facts;
        if (!facts.Extension.Structured) return null;
        if (facts.SchemaRange.IsEmpty) return GatewayError.Invalid("fairlead.structured", $"'fairlead.structured' is for an output of a JSON Schema: send '{field}', or leave it out.") with { OpenAiCode = "invalid_value" };
        if (facts.ChoiceCount > 1) return GatewayError.Unsupported("fairlead.structured", "The values of several choices cannot be told apart. Leave out 'n' or 'fairlead.structured'.");
        using var document = JsonDocument.Parse(call.Body.WrittenMemory.Slice(facts.SchemaRange.Start, facts.SchemaRange.Length), new JsonDocumentOptions { MaxDepth = 1024 });
        if (OutputSchema.Compile(document.RootElement, out var fault) is not { } schema)
        {
            return GatewayError.Invalid(field, $"The schema cannot be checked while an output is made, at '/{fault.At}': {fault.Reason}. Leave out 'fairlead.structured', or change the schema.") with { OpenAiCode = "invalid_value" };
        }
        facts.Structured = new StructuredWish(schema, Repairs: false) { Field = field };
        return null;
    }

    /// <summary>The dialect's field that holds the schema, as its errors name it.</summary>
    public required string Field { get; init; }

    /// <summary>Compiles the patterns of the schema, or says which of them cannot be matched. Not before the model is known and the caller may use it: compiling is the costly part.</summary>
    public GatewayError? Prepare()
    {
        if (Schema.CompilePatterns() is not { } at) return null;
        return GatewayError.Invalid(Field, $"The schema cannot be checked while an output is made, at '/{at}': it is not a regular expression, or one with look-around or back references. Do not ask for the check, or change the schema.") with { OpenAiCode = "invalid_value" };
    }
}
