using System.Runtime.CompilerServices;
using Fairlead.Catalogue;

namespace Fairlead.Telemetry;

/// <summary>
/// The metric tags of one deployment, created once instead of with every call. Immutable; thread-safe.
/// </summary>
internal sealed class AttemptTags
{
    /// <summary>
    /// Maximum model names in a deployment's responses that become series of their own. A provider that returns ever new names must not
    /// fill the memory of the metrics backend: beyond the maximum, its responses count under the requested name.
    /// </summary>
    internal const int MaxModels = 8;

    private const int LongestModel = 128;

    private static readonly ConditionalWeakTable<Deployment, Known> All = [];

    private AttemptTags(Deployment deployment, string operation, string responseModel)
    {
        Operation = operation;
        ResponseModel = responseModel;
        var provider = deployment.Provider;
        List<KeyValuePair<string, object?>> tags =
        [
            new("gen_ai.operation.name", operation),
            new("gen_ai.provider.name", provider.TelemetryName),
            new("fairlead.provider", deployment.ProviderName),
            new("fairlead.deployment", deployment.Name),
            new("gen_ai.request.model", deployment.UpstreamModel),
            new("gen_ai.response.model", responseModel),
        ];
        if (provider.Endpoint is { } endpoint)
        {
            tags.Add(new("server.address", endpoint.Host));
            tags.Add(new("server.port", endpoint.Port));
        }
        Plain = [.. tags];
        Input = [.. tags, new("gen_ai.token.type", "input")];
        Output = [.. tags, new("gen_ai.token.type", "output")];
    }

    public KeyValuePair<string, object?>[] Plain { get; }

    public KeyValuePair<string, object?>[] Input { get; }

    public KeyValuePair<string, object?>[] Output { get; }

    private string Operation { get; }

    private string ResponseModel { get; }

    /// <param name="deployment">The deployment of the attempt.</param>
    /// <param name="operation">Value of <c>gen_ai.operation.name</c>.</param>
    /// <param name="responseModel">The model's name in the response; null if it has none.</param>
    public static AttemptTags Of(Deployment deployment, string operation, string? responseModel)
    {
        var known = All.GetValue(deployment, static _ => new Known());
        var model = responseModel is { Length: > 0 and <= LongestModel } ? responseModel : deployment.UpstreamModel;
        return known.Find(operation, model) ?? known.Add(deployment, operation, model);
    }

    public KeyValuePair<string, object?>[] WithError(string type) => [.. Plain, new("error.type", type)];

    private sealed class Known
    {
        private readonly Lock _gate = new();
        private volatile AttemptTags[] _tags = [];

        public AttemptTags? Find(string operation, string model)
        {
            foreach (var tags in _tags)
            {
                if (ReferenceEquals(tags.Operation, operation) && tags.ResponseModel == model) return tags;
            }
            return null;
        }

        public AttemptTags Add(Deployment deployment, string operation, string model)
        {
            lock (_gate)
            {
                if (_tags.Count(tags => tags.Operation == operation) >= MaxModels) model = deployment.UpstreamModel;
                if (Find(operation, model) is { } meanwhile) return meanwhile;
                var made = new AttemptTags(deployment, operation, model);
                _tags = [.. _tags, made];
                return made;
            }
        }
    }
}
