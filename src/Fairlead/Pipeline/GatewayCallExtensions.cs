using Microsoft.Extensions.AI;

namespace Fairlead.Pipeline;

/// <summary>Gives an app's own model the call for which it is used.</summary>
public static class GatewayCallExtensions
{
    internal const string PropertyName = "fairlead.call";

    /// <summary>The call that created these options; null if none did.</summary>
    public static GatewayCall? GetGatewayCall(this ChatOptions? options) =>
        options?.AdditionalProperties?.TryGetValue(PropertyName, out var value) == true ? value as GatewayCall : null;

    /// <summary>The call that created these options; null if none did.</summary>
    public static GatewayCall? GetGatewayCall(this EmbeddingGenerationOptions? options) =>
        options?.AdditionalProperties?.TryGetValue(PropertyName, out var value) == true ? value as GatewayCall : null;
}
