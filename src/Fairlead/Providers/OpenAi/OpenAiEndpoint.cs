using Fairlead.Configuration;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Providers.Http;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// The properties of one OpenAI-compatible server: its addresses, its credential header, and the few fields in which servers
/// differ. They come from its kind and from the vendor of its host. Immutable.
/// </summary>
internal sealed class OpenAiEndpoint
{
    private static readonly string[] Paths = [ChatWire.Path, CompletionsWire.Path, EmbeddingsWire.Path, ResponsesWire.Path,
        CompactionWire.Path];

    private readonly OpenAiProviderKind _kind;
    private readonly string _baseUrl;
    private readonly string? _datedVersion;
    private readonly Dictionary<string, Uri> _fixed = new(StringComparer.Ordinal);

    /// <param name="config">The provider's configuration.</param>
    /// <param name="kinds">All kinds, for the vendors that they know; those that ship with Fairlead when null.</param>
    /// <exception cref="ArgumentException">The kind has another API, or there is no usable address.</exception>
    public OpenAiEndpoint(ProviderConfig config, ProviderKinds? kinds = null)
    {
        kinds ??= ProviderKinds.BuiltIn;
        _kind = kinds.Find(config.Kind) as OpenAiProviderKind
            ?? throw new ArgumentException($"The kind '{config.Kind}' does not use OpenAI's API.", nameof(config));
        var baseUrl = _kind.AddressOf(config)
            ?? throw new ArgumentException($"A provider of kind '{config.Kind}' needs a baseUrl.", nameof(config));
        Address = UpstreamClientFactory.Address(baseUrl, "");
        IsAzure = _kind.IsAzureAt(baseUrl);
        var vendor = IsAzure ? OpenAiVendors.Azure : kinds.VendorAt(Address.Host);
        var known = vendor as OpenAiVendor;
        IsOpenAi = known is { HasOpenAiModels: true };
        HasCompletions = known?.HasCompletions ?? true;
        TakesReasoningBack = _kind.TakesReasoningBack || known is { TakesReasoningBack: true };
        TelemetryName = vendor?.TelemetryName ?? _kind.TelemetryName;

        _datedVersion = IsAzure ? config.ApiVersion : null;
        if (IsAzure)
        {
            var resource = Without(Without(baseUrl, "/v1"), "/openai");
            baseUrl = _datedVersion is null ? resource + "/openai/v1" : resource + "/openai/deployments";
        }
        else if (new Uri(baseUrl).AbsolutePath == "/")
        {
            baseUrl += _kind.DefaultPath;
        }
        _baseUrl = baseUrl;
        foreach (var path in Paths) _fixed.Add(path, UpstreamClientFactory.Address(baseUrl, path));
    }

    public Uri Address { get; }

    public bool IsAzure { get; }

    /// <summary>OpenAI's own models, at OpenAI or at Azure: newest field names, chat only.</summary>
    public bool IsOpenAi { get; }

    /// <summary>
    /// Whether it needs <c>system</c> and <c>max_tokens</c> instead of <c>developer</c> and <c>max_completion_tokens</c>, which many
    /// servers reject or, worse, ignore.
    /// </summary>
    public bool TakesOlderNames => !IsOpenAi;

    /// <inheritdoc cref="OpenAiVendor.TakesReasoningBack"/>
    public bool TakesReasoningBack { get; }

    /// <inheritdoc cref="OpenAiVendor.HasCompletions"/>
    public bool HasCompletions { get; }

    /// <summary>Whether it has <c>/responses</c>: OpenAI, servers configured as such, and Azure's API without a date.</summary>
    public bool HasResponses => _kind.HasResponses && _datedVersion is null;

    /// <summary>Whether the server may have the endpoint at this path.</summary>
    public bool HasPath(string path) => path switch
    {
        CompletionsWire.Path => HasCompletions,
        ResponsesWire.Path or CompactionWire.Path => HasResponses,
        _ => _fixed.ContainsKey(path),
    };

    /// <summary>
    /// Whether a missing-path status may mean that the server lacks this endpoint. Every server has chat and embeddings, and OpenAI's own
    /// servers have all endpoints: there the status is about the model.
    /// </summary>
    public bool MayLack(string path) => path is CompletionsWire.Path or ResponsesWire.Path or CompactionWire.Path && (IsAzure || !IsOpenAi);

    public string TelemetryName { get; }

    public string KeyHeader => IsAzure ? OpenAiProviderKind.AzureKeyHeader : OpenAiProviderKind.BearerHeader;

    public string KeyPrefix => IsAzure ? "" : "Bearer ";

    /// <inheritdoc cref="OpenAiProviderKind.TakesTopK"/>
    public bool TakesTopK => _kind.TakesTopK;

    public Uri Moderations => UpstreamClientFactory.Address(_baseUrl, "/moderations");

    public Uri AddressOf(string path, string upstreamModel) => _datedVersion is null
        ? _fixed[path]
        : UpstreamClientFactory.Address(_baseUrl,
            $"/{Uri.EscapeDataString(upstreamModel)}{path}?api-version={Uri.EscapeDataString(_datedVersion)}");

    private static string Without(string url, string end) =>
        url.EndsWith(end, StringComparison.OrdinalIgnoreCase) ? url[..^end.Length] : url;
}
