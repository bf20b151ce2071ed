using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Streaming;

namespace Fairlead.Providers;

/// <summary>
/// Adapts tools to what a provider accepts, and converts its calls back to the caller's form. Names that are too long or have other
/// characters become short ones with a hash, and custom tools, whose input is free text, become functions with one text field. One per
/// attempt.
/// </summary>
internal sealed class ToolAdapter
{
    /// <summary>The field of a custom tool's text.</summary>
    private const string InputField = "input";

    private const int HashLength = 12;

    private static readonly JsonSerializerOptions Relaxed =
        new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);
    private readonly HashSet<string> _customs = new(StringComparer.Ordinal);
    private Dictionary<(int Choice, int Index), StringBuilder>? _held;

    private ToolAdapter()
    {
    }

    /// <summary>The adapted request.</summary>
    public ConversationRequest Request { get; private set; } = null!;

    /// <param name="request">The caller's request.</param>
    /// <param name="longestName">Longest name that the provider accepts.</param>
    /// <param name="takesCustom">Whether it supports custom tools.</param>
    /// <returns>Null when nothing must change.</returns>
    public static ToolAdapter? For(ConversationRequest request, int longestName, bool takesCustom)
    {
        var needed = false;
        foreach (var tool in request.Tools) needed |= !Fits(tool.Name, longestName) || (tool.Kind == ToolKind.Custom && !takesCustom);
        foreach (var message in request.Messages)
        {
            if (message.Role != Role.Assistant) continue;
            foreach (var part in message.Parts)
            {
                needed |= part is ToolCallPart call && (!Fits(call.Name, longestName) || (call.Kind == ToolKind.Custom && !takesCustom));
            }
        }
        if (!needed) return null;

        var adapter = new ToolAdapter();
        adapter.Request = request with
        {
            Tools = [.. request.Tools.Select(tool => adapter.Offer(tool, longestName, takesCustom))],
            ToolChoice = request.ToolChoice with
            {
                Name = request.ToolChoice.Name is { } named ? adapter.Short(named, longestName) : null,
                Allowed = request.ToolChoice.Allowed is { } allowed ? [.. allowed.Select(name => adapter.Short(name, longestName))] : null,
            },
            Messages = [.. request.Messages.Select(message => message.Role is Role.Assistant or Role.Tool
                ? message with { Parts = [.. message.Parts.Select(part => adapter.Told(part, longestName, takesCustom))] }
                : message)],
        };
        return adapter;
    }

    /// <summary>Converts the calls of a whole response to the caller's form.</summary>
    public ModelResponse Restore(ModelResponse answer) => answer with
    {
        Choices = [.. answer.Choices.Select(choice => choice with
        {
            Parts = [.. choice.Parts.Select(part => part is ToolCallPart call
                ? call with
                {
                    Name = _names.GetValueOrDefault(call.Name, call.Name),
                    Kind = _customs.Contains(call.Name) ? ToolKind.Custom : call.Kind,
                    Arguments = _customs.Contains(call.Name) ? InputOf(call.Arguments) : call.Arguments,
                }
                : part)],
        })],
    };

    /// <summary>
    /// The same for the events of <paramref name="batch"/> from <paramref name="start"/> on. A custom tool's text is sent when its call is
    /// complete.
    /// </summary>
    public void Restore(EventBatch batch, int start)
    {
        var items = batch.Items;
        var restored = new List<StreamItem>(items.Count - start);
        for (var i = start; i < items.Count; i++)
        {
            var item = items[i];
            switch (item.Event)
            {
                case ToolCallStarted started:
                    var isCustom = _customs.Contains(started.Name);
                    if (isCustom) (_held ??= [])[(started.Choice, started.Index)] = new StringBuilder();
                    if (isCustom || _names.ContainsKey(started.Name))
                    {
                        item = new StreamItem(started with { Name = _names.GetValueOrDefault(started.Name, started.Name), Kind = isCustom
                            ? ToolKind.Custom
                            : started.Kind });
                    }
                    break;
                case ToolCallDelta delta when _held?.TryGetValue((delta.Choice, delta.Index), out var held) == true:
                    held.Append(delta.Arguments);
                    continue;
                case ChoiceFinished finished:
                    Release(restored, finished.Choice);
                    break;
                case AttemptFailed:
                    Release(restored, null);
                    break;
            }
            restored.Add(item);
        }
        items.RemoveRange(start, items.Count - start);
        items.AddRange(restored);
    }

    private void Release(List<StreamItem> items, int? choice)
    {
        foreach (var (key, held) in (_held ?? []).OrderBy(entry => entry.Key.Index).ToList())
        {
            if (choice is { } only && key.Choice != only) continue;
            _held!.Remove(key);
            if (held.Length > 0) items.Add(new StreamItem(new ToolCallDelta(key.Index, InputOf(held.ToString())) { Choice = key.Choice }));
        }
    }

    private Tool Offer(Tool tool, int longestName, bool takesCustom)
    {
        var name = Short(tool.Name, longestName);
        if (tool.Kind != ToolKind.Custom || takesCustom) return tool with { Name = name };
        _customs.Add(name);
        var field = new JsonObject { ["type"] = "string", ["description"] = "The whole input of the tool, as plain text." };
        var description = tool.Description;
        if (tool.Format?["grammar"] is JsonObject grammar && grammar["definition"] is JsonValue definition)
        {
            description = $"{description}\n\nThe input must follow this grammar ({grammar["syntax"]}):\n{definition}".TrimStart();
        }
        return new Tool(name)
        {
            Description = description,
            CacheHint = tool.CacheHint,
            Parameters = new JsonObject
            {
                ["type"] = "object",
                ["properties"] = new JsonObject { [InputField] = field },
                ["required"] = new JsonArray(InputField),
                ["additionalProperties"] = false,
            },
        };
    }

    private Part Told(Part part, int longestName, bool takesCustom) => part switch
    {
        ToolCallPart { Kind: ToolKind.Custom } custom when !takesCustom => custom with
        {
            Name = Short(custom.Name, longestName),
            Kind = ToolKind.Function,
            Arguments = new JsonObject { [InputField] = custom.Arguments }.ToJsonString(Relaxed),
        },
        ToolCallPart call => call with { Name = Short(call.Name, longestName) },
        ToolResultPart { Name: { } name } result => result with { Name = Short(name, longestName) },
        _ => part,
    };

    private string Short(string name, int longestName)
    {
        if (Fits(name, longestName)) return name;
        var made = Shorten(name, longestName);
        _names[made] = name;
        return made;
    }

    /// <summary>A name of at most <paramref name="longestName"/> letters that replaces a longer one: its start, and a hash of it.</summary>
    internal static string Shorten(string name, int longestName)
    {
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..HashLength];
        var plain = new StringBuilder();
        foreach (var c in name)
        {
            if (plain.Length == longestName - HashLength - 1) break;
            plain.Append(char.IsAsciiLetterOrDigit(c) || c is '_' or '-' ? c : '_');
        }
        return plain.Append('_').Append(hash).ToString();
    }

    private static bool Fits(string name, int longestName)
    {
        if (name.Length > longestName) return false;
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('_' or '-')) return false;
        }
        return true;
    }

    // A call without the one field is the model's own variant of an input, and is returned unchanged.
    private static string InputOf(string arguments)
    {
        try
        {
            using var document = JsonDocument.Parse(arguments);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(InputField, out var input)
                && input.ValueKind == JsonValueKind.String
                ? input.GetString()!
                : arguments;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return arguments;
        }
    }
}
