using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.StructuredOutput;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>Reads a request of <c>POST /v2/generations</c>. An unknown member is rejected by its JSON Pointer.</summary>
internal sealed class V2RequestReader
{
    private const int MaxModelLength = 256;
    private const int MaxPromptIdLength = 64;
    private const int MaxUserLength = 256;

    // OpenAI's own limit.
    private const int MaxSafetyIdentifierLength = 64;
    private const int MaxTools = 512;
    private const int MaxMetadata = 16;
    private const int DefaultWait = 10;

    private static readonly string[] Known =
    [
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "output", "sampling", "reasoning",
        "delivery", "store", "stream", "metadata", "user", "safety_identifier", "class", "deadline_ms", "task",
        "prompt", "budget_usd", "route", "rescue", "cache",
    ];

    private readonly RequestFacts _facts;
    private readonly RequestBounds _bounds;
    private readonly V2InputReader _input;
    private V2Delivery _delivery = V2Delivery.Stream;
    private int? _wait;
    private bool _hasStreamOptions;
    private bool _saysDelivery;
    private bool _stores;
    private V2Value? _onDisconnect;

    private V2RequestReader(RequestFacts facts, RequestBounds bounds, ReadOnlyMemory<byte> source)
    {
        _facts = facts;
        _bounds = bounds;
        _input = new V2InputReader(facts, bounds, source);
    }

    public static GatewayError? Read(GatewayCall call, RequestBounds bounds) => BodyCursor.Run(call, bounds, Pass);

    private static void Pass(ref BodyCursor json, GatewayCall call, RequestBounds bounds)
    {
        // One pass over all of it, for its depth and for escapes that no decoder could read.
        json.EnterRoot();
        json.Skip();
        json.Leave();
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(call.Body.WrittenMemory,
                new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = bounds.MaxDepth + 8 });
        }
        catch (JsonException)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                "An object of the body contains the same member twice; send it once."));
        }
        using (document)
        {
            call.Facts.V2 = new V2RequestReader(call.Facts, bounds, call.Body.WrittenMemory).Read(new V2Value(document.RootElement, ""));
        }
    }

    private V2Request Read(V2Value root)
    {
        var extension = new CallExtension();
        var request = new ConversationRequest { Messages = [] };
        V2Value? input = null;
        string? instructions = null;
        (V2Value At, string Id)? prompt = null;
        _facts.MaxOutputTokensField = "sampling/max_output_tokens";
        foreach (var (name, value) in root.Members(Known))
        {
            switch (name)
            {
                case "model": _facts.Model = value.Text(MaxModelLength); break;
                case "input": input = value; break;
                case "instructions":
                    instructions = value.Text(mayBeEmpty: true);
                    _facts.TextBytes += V2InputReader.BytesOf(instructions);
                    break;
                case "tools": request = request with { Tools = Tools(value) }; break;
                case "tool_choice": request = request with { ToolChoice = Choice(value) }; break;
                case "parallel_tool_calls": request = request with { ParallelToolCalls = value.Boolean() }; break;
                case "output": request = request with { OutputFormat = Format(value) }; break;
                case "sampling": request = request with { Sampling = Sampling(value) }; break;
                case "reasoning": request = request with { Reasoning = Reasoning(value) }; break;
                case "delivery":
                    _saysDelivery = true;
                    extension = Delivery(value, extension);
                    break;
                case "store": _stores = value.Boolean(); break;
                case "stream": extension = Stream(value, extension); break;
                case "metadata": request = request with { Metadata = Metadata(value) }; break;
                case "user": _facts.Label().User = value.Text(MaxUserLength); break;
                case "safety_identifier": _facts.Label().SafetyIdentifier = value.Text(MaxSafetyIdentifierLength); break;
                case "class": extension = extension with { Class = value.Word(CallClasses.All) }; break;
                case "deadline_ms":
                    var deadline = value.Integer(ExtensionReader.MinDeadlineMs, ExtensionReader.MaxDeadlineMs);
                    extension = extension with { Deadline = TimeSpan.FromMilliseconds(deadline) };
                    break;
                case "task": extension = extension with { Task = value.Text(64) }; break;
                case "prompt": prompt = Prompt(value); break;
                case "route": extension = extension with { Route = RouteReader.Read(value) }; break;
                case "rescue": extension = extension with { Rescue = RescueModes.Parse(value.Word(RescueModes.Names)) }; break;
                case "cache": extension = extension with { Cache = CacheWishReader.Read(value) }; break;
                case "budget_usd": extension = extension with { BudgetUsd = value.Money() }; break;
            }
        }
        if (_facts.Model.Length == 0) throw root.Missing("model");
        // Before the input, which a stored prompt may contain.
        if (prompt is { } named) throw NoPrompt(named.At, named.Id);
        if (input is not { } given) throw root.Missing("input");
        Settle(root, request, ref extension);
        _facts.Stream = _delivery == V2Delivery.Stream;
        _facts.Extension = extension;

        var messages = new List<Message>();
        var places = new List<string>();
        if (instructions is { Length: > 0 })
        {
            messages.Add(Message.Of(Role.Developer, instructions));
            places.Add("instructions");
        }
        _input.Read(given, messages, places);
        return new V2Request(request with { Messages = messages, MaxOutputTokens = _facts.MaxOutputTokens, EndUser = _facts.Labels?.EndUser },
            _delivery, _wait ?? DefaultWait, places)
        {
            Stores = _stores || extension.OnDisconnect == OnDisconnect.Continue,
            ChoosesDelivery = _saysDelivery,
        };
    }

    // Rules about more than one member.
    private void Settle(V2Value root, ConversationRequest request, ref CallExtension extension)
    {
        if (_wait is not null && _delivery != V2Delivery.Auto)
        {
            throw Contradiction(root, "delivery/wait_seconds", "It is allowed only with the mode 'auto'.");
        }
        if (extension.Webhook is not null && _delivery is V2Delivery.Sync or V2Delivery.Stream)
        {
            throw Contradiction(root, "delivery/webhook",
                "It is allowed only with the modes 'job' and 'auto': the other modes return the result in the response.");
        }
        if (_onDisconnect is { } leaving && _delivery is V2Delivery.Job)
        {
            throw leaving.Invalid("it is not allowed with the mode 'job', which has no client connection that could close");
        }
        if (_hasStreamOptions && _delivery != V2Delivery.Stream)
        {
            throw Contradiction(root, "stream", "It is allowed only with the delivery mode 'stream'.");
        }
        if (request.ToolChoice.Mode is ToolChoiceMode.Required or ToolChoiceMode.Named && request.Tools.Count == 0)
        {
            throw Contradiction(root, "tool_choice", "It requires 'tools'.");
        }
        if (request.ToolChoice is { Mode: ToolChoiceMode.Named, Name: var chosen } && !request.Tools.Any(tool => tool.Name == chosen))
        {
            throw Contradiction(root, "tool_choice", "It names a tool that is not in 'tools'.");
        }
        if (request.ParallelToolCalls is not null && request.Tools.Count == 0)
        {
            throw Contradiction(root, "parallel_tool_calls", "It requires 'tools'.");
        }
    }

    private List<Tool> Tools(V2Value list)
    {
        var tools = new List<Tool>();
        foreach (var item in list.Items(MaxTools))
        {
            string? name = null;
            var tool = new Tool("");
            foreach (var (member, value) in item.Members("name", "description", "parameters", "strict"))
            {
                switch (member)
                {
                    case "name":
                        name = value.Text(64);
                        if (name.AsSpan().ContainsAnyExcept(NameLetters)) throw value.Invalid("expected letters, digits, '_' and '-' only");
                        if (tools.Exists(other => other.Name == name)) throw value.Invalid("another tool has this name");
                        break;
                    case "description": tool = tool with { Description = value.Text(mayBeEmpty: true) }; break;
                    case "parameters": tool = tool with { Parameters = Schema(value) }; break;
                    case "strict": tool = tool with { Strict = value.Boolean() }; break;
                }
            }
            if (name is null) throw item.Missing("name");
            tools.Add(tool with { Name = name });
            _facts.TextBytes += V2InputReader.BytesOf(item.Element.GetRawText());
        }
        if (tools.Count > 0) _facts.Note(RequestFeatures.Tools, list.At);
        return tools;
    }

    private static readonly System.Buffers.SearchValues<char> NameLetters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    private static ToolChoice Choice(V2Value choice)
    {
        if (choice.Element.ValueKind == JsonValueKind.String)
        {
            return new ToolChoice(choice.Word("auto", "none", "required") switch
            {
                "none" => ToolChoiceMode.None,
                "required" => ToolChoiceMode.Required,
                _ => ToolChoiceMode.Auto,
            });
        }
        string? name = null;
        foreach (var (_, value) in choice.Members("name")) name = value.Text(64);
        return new ToolChoice(ToolChoiceMode.Named, name ?? throw choice.Missing("name"));
    }

    private OutputFormat Format(V2Value output)
    {
        string? type = null;
        var format = OutputFormat.Text;
        V2Value? schema = null, structured = null, repair = null;
        foreach (var (member, value) in output.Members("format", "name", "description", "schema", "strict", "structured", "repair"))
        {
            switch (member)
            {
                case "format": type = value.Word("text", "json", "json_schema"); break;
                case "name": format = format with { Name = value.Text(64) }; break;
                case "description": format = format with { Description = value.Text(mayBeEmpty: true) }; break;
                case "schema":
                    schema = value;
                    format = format with { Schema = Schema(value) };
                    _facts.TextBytes += V2InputReader.BytesOf(value.Element.GetRawText());
                    break;
                case "strict": format = format with { Strict = value.Boolean() }; break;
                case "structured": structured = value.Word("off", "partial") == "partial" ? value : null; break;
                case "repair": repair = value.Boolean() ? value : null; break;
            }
        }
        if (type is null) throw output.Missing("format");
        if (type != "json_schema" && (structured ?? repair) is { } misplaced)
        {
            throw misplaced.Invalid("it is allowed only with the format 'json_schema'");
        }
        if (structured is null && repair is { } alone)
        {
            throw alone.Invalid("it is allowed only with 'structured': \"partial\", which checks the output");
        }
        if (type != "json_schema" && format != OutputFormat.Text)
        {
            throw output.Invalid("'name', 'description', 'schema' and 'strict' are allowed only with the format 'json_schema'");
        }
        switch (type)
        {
            case "json":
                _facts.Note(RequestFeatures.JsonObject, output.At);
                return new OutputFormat(OutputKind.Json);
            case "json_schema":
                if (format.Schema is null) throw output.Missing("schema");
                _facts.Note(RequestFeatures.JsonSchema, output.At);
                if (structured is not null)
                {
                    _facts.Structured = new OutputCheck(Compile(schema!.Value), repair is not null) { Field = schema.Value.At };
                }
                return format with { Kind = OutputKind.JsonSchema, Name = format.Name ?? "output", Strict = format.Strict ?? true };
            default:
                return OutputFormat.Text;
        }
    }

    private static OutputSchema Compile(V2Value schema) => OutputSchema.Compile(schema.Element, out var error)
        ?? throw new GatewayErrorException(GatewayError.Invalid(error.At.Length == 0
            ? schema.At
            : $"{schema.At}/{error.At}",
            $"The schema cannot be checked while the output is generated: {error.Reason}. Leave out 'structured', or change the schema."));

    private Sampling Sampling(V2Value sampling)
    {
        var made = new Sampling();
        foreach (var (member, value) in sampling.Members("temperature", "top_p", "seed", "stop", "max_output_tokens"))
        {
            switch (member)
            {
                case "temperature":
                    _facts.Temperature = value.Number(0, 2);
                    _facts.Note(RequestFeatures.Temperature, value.At);
                    break;
                case "top_p":
                    _facts.TopP = value.Number(0, 1);
                    _facts.Note(RequestFeatures.TopP, value.At);
                    break;
                case "seed":
                    _facts.Seed = value.Integer(long.MinValue, long.MaxValue);
                    _facts.Note(RequestFeatures.Seed, value.At);
                    break;
                case "max_output_tokens": _facts.MaxOutputTokens = (int)value.Integer(1, int.MaxValue); break;
                case "stop": made = made with { Stop = value.Element.ValueKind == JsonValueKind.String ? [value.Text(256)]
                    : [.. value.Items(4).Select(stop => stop.Text(256))] }; break;
            }
        }
        return made with { Temperature = _facts.Temperature, TopP = _facts.TopP, Seed = _facts.Seed };
    }

    private Reasoning? Reasoning(V2Value reasoning)
    {
        foreach (var (_, value) in reasoning.Members("effort"))
        {
            _facts.ReasoningEffort = value.Word("none", "minimal", "low", "medium", "high", "xhigh", "max");
            _facts.Note(RequestFeatures.ReasoningEffort, value.At);
        }
        return _facts.ReasoningEffort is { } effort ? new Reasoning { Effort = effort } : null;
    }

    private CallExtension Delivery(V2Value delivery, CallExtension extension)
    {
        foreach (var (member, value) in delivery.Members("mode", "wait_seconds", "webhook", "on_disconnect"))
        {
            switch (member)
            {
                case "mode":
                    _delivery = value.Word("stream", "sync", "job", "auto") switch
                    {
                        "sync" => V2Delivery.Sync,
                        "job" => V2Delivery.Job,
                        "auto" => V2Delivery.Auto,
                        _ => V2Delivery.Stream,
                    };
                    break;
                case "on_disconnect":
                    _onDisconnect = value;
                    extension = extension with { OnDisconnect = value.Word("cancel", "continue") == "continue" ? OnDisconnect.Continue
                        : OnDisconnect.Cancel };
                    break;
                case "wait_seconds": _wait = (int)value.Integer(1, Pipeline.Preference.MaxWaitSeconds); break;
                case "webhook":
                    string? url = null;
                    foreach (var (_, address) in value.Members("url")) url = address.Text(Security.OutboundUrl.MaxLength);
                    extension = extension with { Webhook = url ?? throw value.Missing("url") };
                    break;
            }
        }
        return extension;
    }

    private CallExtension Stream(V2Value stream, CallExtension extension)
    {
        foreach (var (member, value) in stream.Members("batch_tokens", "batch_delay_ms"))
        {
            _hasStreamOptions = true;
            extension = member switch
            {
                "batch_tokens" => extension with { BatchTokens = (int)value.Integer(1, BatchSettings.MaxTokens) },
                _ => extension with { BatchDelay = TimeSpan.FromMilliseconds(value.Integer(0, BatchSettings.MaxDelayMs)) },
            };
        }
        return extension;
    }

    /// <summary>
    /// A reference to a stored prompt: its id, its version (by number or by label; otherwise the newest), and the values of its variables.
    /// </summary>
    private static (V2Value At, string Id) Prompt(V2Value prompt)
    {
        (V2Value At, string Id)? id = null;
        V2Value? version = null;
        V2Value? label = null;
        foreach (var (name, value) in prompt.Members("id", "version", "label", "variables"))
        {
            switch (name)
            {
                case "id": id = (value, value.Text(MaxPromptIdLength)); break;
                case "version":
                    value.Integer(1, int.MaxValue);
                    version = value;
                    break;
                case "label":
                    value.Text(64);
                    label = value;
                    break;
                case "variables":
                    if (value.Element.ValueKind != JsonValueKind.Object) throw value.Type("an object");
                    break;
            }
        }
        if (version is not null && label is { } both) throw both.Invalid("send either 'version' or 'label', not both");
        return id ?? throw prompt.Missing("id");
    }

    // No project has stored prompts yet, so none is found; the id of another project gets the same error.
    private static GatewayErrorException NoPrompt(V2Value at, string id) =>
        new(new GatewayError(ErrorCode.NotFound,
            $"There is no prompt '{id}'. Send its text as 'instructions' and 'input'.") { Parameter = at.At });

    private Dictionary<string, string> Metadata(V2Value metadata)
    {
        if (metadata.Element.ValueKind != JsonValueKind.Object) throw metadata.Type("an object");
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var member in metadata.Element.EnumerateObject())
        {
            if (pairs.Count == MaxMetadata) throw metadata.Invalid($"expected at most {MaxMetadata} pairs");
            if (member.Name.Length > 64) throw metadata.Invalid("expected keys of at most 64 characters");
            pairs[member.Name] = new V2Value(member.Value,
                metadata.Under(member.Name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)))
                    .Text(512, mayBeEmpty: true);
            _facts.Label().Add(member.Name, pairs[member.Name]);
        }
        return pairs;
    }

    private static JsonObject Schema(V2Value schema) => schema.Element.ValueKind == JsonValueKind.Object
        ? (JsonObject)JsonNode.Parse(schema.Element.GetRawText(), documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!
        : throw schema.Type("a JSON Schema, which is an object");

    private static GatewayErrorException Contradiction(V2Value root, string at, string reason) =>
        new(GatewayError.Invalid(root.Under(at), $"The field '/{at}' is not allowed here. {reason}"));

    private static GatewayErrorException Unsupported(V2Value value, string message) => new(GatewayError.Unsupported(value.At, message));
}
