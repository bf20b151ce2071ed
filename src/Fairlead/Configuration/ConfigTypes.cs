namespace Fairlead.Configuration;

/// <summary>Value types that the tables of several slices share.</summary>
internal static class ConfigTypes
{
    public static readonly ConfigType Text = new ConfigText();
    public static readonly ConfigType Secret = new ConfigText(secret: true);
    public static readonly ConfigType Switch = new ConfigSwitch();
    public static readonly ConfigType Texts = new ConfigListType<string>(Text);
}
