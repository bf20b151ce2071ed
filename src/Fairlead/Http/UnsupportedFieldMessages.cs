namespace Fairlead.Http;

/// <summary>Why a field of the admin API is refused. A field without effect is refused, so that no stored value is ignored.</summary>
internal static class UnsupportedFieldMessages
{
    public const string Limits = "This version does not enforce limits; leave the field out.";
}
