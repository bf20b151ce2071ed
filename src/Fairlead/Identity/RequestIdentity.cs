using Fairlead.Pipeline;

namespace Fairlead.Identity;

/// <summary>
/// The identity of requests: the request's body, and what every slice adds to it. Requests with the same identity may share one output.
/// The time is linear in the bytes of the body. Thread-safe.
/// </summary>
internal sealed class RequestIdentity(IEnumerable<IIdentityPart> parts)
{
    // The order of registration is the same in every process of a version. A cache that outlives one holds results of that version only.
    private readonly IIdentityPart[] _parts = [.. parts];

    /// <summary>The identity of the whole request.</summary>
    public IdentityKey Of(GatewayCall call) => Of(call, except: null, sharesAcross: false);

    /// <summary>
    /// The identity of everything beside the inputs of a request that has independent ones, for work in progress: organizations that agree
    /// to share have the same one.
    /// </summary>
    public IdentityKey WithoutInput(GatewayCall call) => 
        Of(call, call.Dialect.InputField, CallerIdentity.SharesAcrossOrganizations(call));

    private IdentityKey Of(GatewayCall call, string? except, bool sharesAcross)
    {
        using var hash = new IdentityHash();
        using var json = new CanonicalJson();
        foreach (var part in _parts)
        {
            // Otherwise the end of one part could be read as the start of the next.
            hash.Tag((byte)'|');
            if (sharesAcross && part is CallerIdentity) CallerIdentity.AddForSharing(call, hash);
            else part.Add(call, hash);
        }
        hash.Tag((byte)'|');
        hash.Add(call.Dialect.Name);
        json.Add(hash, call.Body.WrittenSpan, call.Dialect.FieldsWithoutEffect, except);
        return hash.Finish();
    }
}
