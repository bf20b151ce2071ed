using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.StructuredOutput;

/// <summary>A request that the gateway itself checks the output against a schema.</summary>
/// <param name="Schema">The schema, ready to check with.</param>
/// <param name="Repairs">Whether the model is asked again for an output that violates it.</param>
internal sealed record OutputCheck(OutputSchema Schema, bool Repairs)
{
    /// <summary>Reads <c>fairlead.structured</c> of a request in another dialect.</summary>
    /// <param name="call">The call, read without an error.</param>
    /// <param name="field">The dialect's field that contains the schema.</param>
    public static GatewayError? Note(GatewayCall call, string field)
    {
        var facts = call.Facts;
        if (!facts.Extension.Structured) return null;
        if (facts.SchemaRange.IsEmpty)
        {
            return GatewayError.Invalid("fairlead.structured",
                $"'fairlead.structured' requires an output with a JSON Schema: send '{field}', or leave out 'fairlead.structured'.") with
            {
                OpenAiCode = "invalid_value",
            };
        }

        if (facts.ChoiceCount > 1)
        {
            return GatewayError.Unsupported("fairlead.structured",
                "The values of several choices cannot be distinguished. Leave out 'n' or 'fairlead.structured'.");
        }

        using var document = JsonDocument.Parse(call.Body.WrittenMemory.Slice(facts.SchemaRange.Start, facts.SchemaRange.Length),
            new JsonDocumentOptions { MaxDepth = 1024 });
        if (OutputSchema.Compile(document.RootElement, out var fault) is not { } schema)
        {
            return GatewayError.Invalid(field,
                $"The schema cannot be checked while an output is generated, at '/{fault.At}': {fault.Reason}. "
                + "Leave out 'fairlead.structured', or change the schema.") with { OpenAiCode = "invalid_value" };
        }
        facts.Structured = new OutputCheck(schema, Repairs: false) { Field = field };
        return null;
    }

    /// <summary>The dialect's field that contains the schema, for its errors.</summary>
    public required string Field { get; init; }

    /// <summary>
    /// Compiles the patterns of the schema, or reports which of them cannot be matched. Not before the model is known and the caller may
    /// use it: compiling is expensive.
    /// </summary>
    public GatewayError? Prepare()
    {
        if (Schema.CompilePatterns() is not { } at) return null;
        return GatewayError.Invalid(Field,
            $"The schema cannot be checked while an output is generated, at '/{at}': it is not a regular expression, "
            + "or it uses look-around or back references. Leave out the check, or change the schema.") with
        {
            OpenAiCode = "invalid_value",
        };
    }
}
