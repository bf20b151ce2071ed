using Fairlead.Dialects.FairleadV2;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Reads what a request wants of the cache: <c>fairlead.cache</c>, in the gateway's own dialect <c>cache</c>.</summary>
internal static class CacheWishReader
{
    private static readonly string[] Known = ["mode", "ttl_seconds"];

    /// <summary>Reads the object at the position of <paramref name="json"/>; null counts as absent.</summary>
    /// <exception cref="Errors.GatewayErrorException">A field is unknown or has a wrong value.</exception>
    public static CacheWish? Read(ref BodyCursor json)
    {
        if (!json.Object(new FieldPath("fairlead", Middle: "cache"))) return null;
        var wish = new CacheWish();
        var (hasMode, hasTtl) = (false, false);
        while (json.NextMember())
        {
            var isMode = json.Is("mode"u8);
            if (!isMode && !json.Is("ttl_seconds"u8)) throw Unknown(json.GetString());
            var path = new FieldPath("fairlead", Middle: "cache", Tail: isMode ? "mode" : "ttl_seconds");
            if (isMode ? hasMode : hasTtl) throw RequestErrors.Duplicate(path);
            json.Next();
            if (isMode)
            {
                hasMode = true;
                wish = wish with { Mode = CacheModes.Find(json.Word(path, CacheModes.All)) };
            }
            else
            {
                hasTtl = true;
                if (json.Integer(path, 1, CacheWish.MaxTtlSeconds) is { } seconds) wish = wish with { Ttl = TimeSpan.FromSeconds(seconds) };
            }
        }
        return wish;
    }

    /// <summary>The same in the gateway's own dialect.</summary>
    /// <exception cref="Errors.GatewayErrorException">A field is unknown or has a wrong value.</exception>
    public static CacheWish Read(V2Value value)
    {
        var wish = new CacheWish();
        foreach (var (name, field) in value.Members(Known))
        {
            wish = name == "mode"
                ? wish with { Mode = CacheModes.Find(field.Word(CacheModes.All)) }
                : wish with { Ttl = TimeSpan.FromSeconds(field.Integer(1, CacheWish.MaxTtlSeconds)) };
        }
        return wish;
    }

    private static Errors.GatewayErrorException Unknown(string name)
    {
        var shown = name.Length > 64 ? name[..64] : name;
        return RequestErrors.Invalid($"fairlead.cache.{shown}",
            $"The field 'fairlead.cache.{shown}' is unknown; accepted are {string.Join(", ", Known.Select(k => $"'{k}'"))}.",
            "unknown_parameter");
    }
}
