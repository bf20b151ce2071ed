namespace Fairlead;

/// <summary>What <c>MapFairlead</c> maps besides the API itself.</summary>
public sealed class FairleadEndpointOptions
{
    /// <summary>
    /// The guides at <c>/docs</c>, for everybody, and the schema of the configuration at <c>/schemas/fairlead.schema.json</c>.
    /// Default false.
    /// </summary>
    public bool Docs { get; set; }

    /// <summary>The OpenAPI documents at <c>/openapi/v1.json</c> and <c>/openapi/v2.json</c>, for everybody. Default false.</summary>
    public bool OpenApi { get; set; }
}
