using System.Buffers;
using System.Text.Json;
using Fairlead.Http;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Resources;

/// <summary>A dry run: what a text would meet under a policy alone. Nothing of it is stored.</summary>
/// <param name="Text">The text.</param>
/// <param name="Direction">Input or output.</param>
internal sealed record PolicyTrial(string Text, PolicyDirection Direction)
{
    private const string TextField = "text";

    private const string DirectionField = "direction";

    private static readonly FieldSet Fields = new([TextField, DirectionField]);

    /// <exception cref="Errors.GatewayErrorException">A field is missing, unknown or has a wrong value.</exception>
    public static PolicyTrial Read(JsonElement body)
    {
        var fields = new BodyFields(body, Fields);
        var text = "";
        if (fields.Element(TextField) is not { ValueKind: not JsonValueKind.Null } value) fields.Missing(TextField);
        else if (value.ValueKind != JsonValueKind.String)
            fields.Invalid(TextField, $"Must be a string, not a {JsonTypeNames.Of(value.ValueKind)}.");
        else text = TextOf(value, fields);
        // Which rules apply depends on it; most look at both.
        var direction = fields.OneOf(DirectionField, "input", "output") ?? "input";
        fields.ThrowIfInvalid();
        return new PolicyTrial(text, PolicyWords.DirectionOf(direction));
    }

    public async Task<PolicyTrialResult> RunAsync(PolicyDefinition policy, IWindowJudge judge, CancellationToken cancellationToken)
    {
        var rules = CompiledPolicies.Compile([policy]);
        var tally = new PolicyTally();
        var (block, text) = Direction == PolicyDirection.Input
            ? await CheckInputAsync(rules, tally, judge, cancellationToken)
            : await CheckOutputAsync(rules, tally, judge, cancellationToken);
        return new PolicyTrialResult(block, block is null ? text : null, text != Text, tally);
    }

    private async Task<(PolicyBlock?, string)> CheckInputAsync(
        CompiledPolicies rules, PolicyTally tally, IWindowJudge judge, CancellationToken cancellationToken)
    {
        if (!rules.HasInput) return (null, Text);
        using var check = rules.CheckInput(tally, new Placeholders());
        var found = check.NeedsJudge
            ? await check.CheckAsync(Text, ChannelKind.Text, judge, cancellationToken)
            : check.Check(Text);
        return (found.Block, found.NewText ?? Text);
    }

    private async Task<(PolicyBlock?, string)> CheckOutputAsync(
        CompiledPolicies rules, PolicyTally tally, IWindowJudge judge, CancellationToken cancellationToken)
    {
        if (!rules.HasOutput) return (null, Text);
        using var guard = rules.GuardOutput(ChannelKind.Text, tally, new Placeholders(), judge);
        var output = new ArrayBufferWriter<char>();
        if (guard.NeedsJudge)
        {
            await guard.PushAsync(Text.AsMemory(), output, cancellationToken);
            await guard.CompleteAsync(output, cancellationToken);
        }
        else
        {
            guard.Push(Text, output);
            guard.Complete(output);
        }
        return (guard.Block, new string(output.WrittenSpan));
    }

    private static string TextOf(JsonElement value, BodyFields fields)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            fields.Invalid(TextField, "Contains half of a surrogate pair, which is not a character.");
            return "";
        }
    }
}

/// <summary>The result of a dry run.</summary>
/// <param name="Block">The rule that would end the call; null for none.</param>
/// <param name="Text">The text as it would go on; null if it is blocked.</param>
/// <param name="IsChanged">Whether a rule would redact it.</param>
/// <param name="Tally">What the rules met.</param>
internal sealed record PolicyTrialResult(PolicyBlock? Block, string? Text, bool IsChanged, PolicyTally Tally)
{
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("object", "policy_trial");
        json.WriteString("action", Block is not null ? "block" : IsChanged ? "redact" : Tally.IsEmpty ? "pass" : "flag");
        json.WriteString("blocked_by", Block?.Rule.RuleId);
        json.WriteString("text", Text);
        json.WritePropertyName("verdicts");
        PolicyJson.WriteVerdicts(json, Tally);
        json.WriteEndObject();
    }
}
